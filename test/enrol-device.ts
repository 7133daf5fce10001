import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { profileFile } from './contracts/deck.ts';

const cli = new URL('../src/cli/main.ts', import.meta.url).pathname;

/**
 * Enrols `name` at the running server whose configuration is `config`, by the commands an administrator and an operator
 * give, and resolves to the folder of its state, made in `folder`.
 */
export async function enrolDevice(config: string, folder: string, name: string): Promise<string> {
  const directory = join(folder, name);
  mkdirSync(directory);
  const [own, file] = [join(folder, `${name}.yaml`), join(folder, `${name}.json`)];
  writeFileSync(
    own,
    `formatVersion: 1
terminal: ${name}
stateDirectory: ${directory}
cardProfiles: [${profileFile('synthetic-type-c')}]
readers: [{ id: r1, name: absent, door: main }]
doors: [{ id: main, hardware: { strike: { kind: gpio, chip: absent, line: 1 } } }]
`,
  );
  const place = ['--organization', 'city', '--config', config];
  await kazasu('issuance', 'terminal', 'prepare', name, ...place, '--out', file);
  await kazasu('terminal', 'enrol', '--config', own, '--file', file);
  return directory;
}

/** Runs a command of `kazasu` to its end; rejects with what it said where that is not 0. */
export function kazasu(...words: readonly string[]): Promise<void> {
  return ended(spawn(process.execPath, [cli, ...words]));
}

/** Resolves when the child has ended with 0, rejects with what it said otherwise. */
export async function ended(child: ChildProcess): Promise<void> {
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (bytes: Buffer) => {
      said += bytes.toString();
    });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${child.spawnargs.slice(2).join(' ')} ended with ${code}:\n${said}`);
}
