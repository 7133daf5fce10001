import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

const root = resolve(import.meta.dirname, '../..');

/**
 * Configures a terminal whose state is in `directory`, with one door and one reader that are absent, and the default
 * space for its journal.
 */
export function configureTerminal(directory: string): string {
  writeFileSync(join(directory, 'sealing'), new Uint8Array(32).fill(1), { mode: 0o600 });
  const config = join(directory, 'terminal.yaml');
  writeFileSync(
    config,
    `formatVersion: 1
terminal: bench
stateDirectory: ${directory}
cardProfiles: [${root}/device-config/card-profiles/synthetic-type-a.yaml]
keys: { kind: card-keys, directory: ${directory}/card-keys, sealing: { credential: sealing } }
readers: [{ id: reader, name: absent, door: door-0 }]
doors: [{ id: door-0, hardware: { strike: { kind: gpio, chip: absent, line: 1 } } }]
`,
  );
  return config;
}

export interface RunningTerminal {
  readonly process: ChildProcess;
  /** milliseconds from the start of the command to the word of the terminal that it is ready */
  readonly readyMs: number;
  /** resolves once it has logged this */
  logged(message: string): Promise<void>;
  stop(): Promise<void>;
}

/** Runs `terminal run` as the service does: `kazasu`, or with cards that can be held up `tapped-terminal`. */
export async function startTerminal(
  config: string,
  program: 'kazasu' | 'tapped-terminal' = 'kazasu',
): Promise<RunningTerminal> {
  const began = performance.now();
  const command =
    program === 'kazasu' ? ['scripts/kazasu'] : ['scripts/node', `${import.meta.dirname}/${program}.ts`];
  const child = spawn(
    join(root, command[0] ?? ''),
    [...command.slice(1), 'terminal', 'run', '--config', config],
    {
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
      env: { ...process.env, CREDENTIALS_DIRECTORY: resolve(config, '..') },
    },
  );
  const exited = once(child, 'exit');
  let stopping = false;
  child.once('exit', (code) => {
    if (!stopping) throw new Error(`the terminal ended with code ${code}`);
  });
  const lines = createInterface(child.stdout as Readable);
  const said = new Set<string>();
  lines.on('line', (line) => {
    said.add((JSON.parse(line) as { msg: string }).msg);
  });
  const logged = async (message: string): Promise<void> => {
    while (!said.has(message)) await once(lines, 'line');
  };
  await logged('terminal ready');
  const readyMs = performance.now() - began;
  const stop = async (): Promise<void> => {
    stopping = true;
    child.disconnect();
    child.kill('SIGTERM');
    await exited;
  };
  return { process: child, readyMs, logged, stop };
}

/** Resident memory in MB. */
export interface Memory {
  /** of the process, now and at its highest */
  readonly own: number;
  readonly highest: number;
  /** of each process that came from it */
  readonly children: readonly number[];
  /** of all together, with pages that several share counted once */
  readonly together: number;
}

export function memoryOf({ process: { pid = 0 } }: RunningTerminal): Memory {
  const [, ...children] = processesFrom(pid);
  const resident = (one: number) => megabytesIn(`/proc/${one}/status`, 'VmRSS');
  const shares = [pid, ...children].map((one) => megabytesIn(`/proc/${one}/smaps_rollup`, 'Pss'));
  return {
    own: resident(pid),
    highest: megabytesIn(`/proc/${pid}/status`, 'VmHWM'),
    children: children.map(resident),
    together: shares.reduce((sum, share) => sum + share, 0),
  };
}

export function memoryText({ own, highest, children, together }: Memory): string {
  const mb = (figure: number) => `${figure.toFixed(0)} MB`;
  return `${mb(own)} (at most ${mb(highest)}), its children ${children.map(mb).join(', ')}, together ${mb(together)}`;
}

/** The process and all that came from it. */
function processesFrom(pid: number): readonly number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  return [pid, ...children.flatMap((child) => processesFrom(Number(child)))];
}

function megabytesIn(file: string, name: string): number {
  const kibibytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(file, 'utf8'))?.[1];
  return (Number(kibibytes) * 1024) / 1e6;
}
