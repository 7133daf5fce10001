import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { CardKeyWriter } from '#adapters/sealed/card-key-file.ts';
import { makeReceivingKey, receiverKey } from '#adapters/sealed/receiving-key.ts';
import { SealedCardKeys } from '#adapters/sealed/sealed-card-keys.ts';
import { profileFile } from '../contracts/deck.ts';

const main = join(import.meta.dirname, '../../src/cli/main.ts');
let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kazasu-status-'));
  await mkdir(join(folder, 'bin'));
  // a service manager that writes down what it is told
  await writeFile(join(folder, 'bin/systemd-notify'), `#!/bin/sh\necho "$@" >> ${folder}/told\n`);
  await chmod(join(folder, 'bin/systemd-notify'), 0o755);
  await writeFile(join(folder, 'told'), '');
  await writeFile(join(folder, 'passphrase'), 'a passphrase of tests alone\n', { mode: 0o600 });
  await writeFile(
    join(folder, 'terminal.yaml'),
    `formatVersion: 1
terminal: entrance
stateDirectory: ${folder}
cardProfiles: [${profileFile('synthetic-type-a')}]
keys: { kind: card-keys, directory: card-keys, sealing: { passphraseFile: passphrase } }
readers: [{ id: reader, name: absent, door: door }]
doors: [{ id: door, hardware: { strike: { kind: gpio, chip: absent, line: 1 } } }]
journal: { reserveMiB: 8 }
`,
  );
});
afterEach(() => rm(folder, { recursive: true }));

test('the service manager is told that there are no keys, that there are, and a stop without an error', async () => {
  const env = {
    ...process.env,
    PATH: `${folder}/bin:${process.env.PATH}`,
    NOTIFY_SOCKET: join(folder, 'none'),
  };
  const words = [main, 'terminal', 'run', '--config', join(folder, 'terminal.yaml')];
  const terminal = spawn(process.execPath, words, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const log: Buffer[] = [];
  terminal.stdout.on('data', (piece: Buffer) => log.push(piece));
  const told = (text: string) =>
    vi.waitFor(async () => expect(await readFile(join(folder, 'told'), 'utf8')).toContain(text), {
      timeout: 20_000,
    });
  try {
    await told('--ready --status=no keys: key-unavailable, cards that authenticate are denied: 1 doors');
    const directory = join(folder, 'card-keys');
    const sealing = { passphraseFile: join(folder, 'passphrase') };
    const receiver = await makeReceivingKey(directory, { sealing, terminal: 'entrance' });
    const about = { terminal: 'entrance', exportId: 'test', exportedAt: '2026-11-22T00:00:00.000Z' };
    const content = new CardKeyWriter(receiverKey(receiver)).finish(about);
    await new SealedCardKeys({ directory, sealing }).install(content);
    await told('--status=ready: 1 doors, 1 readers; keys not sealed');
  } finally {
    terminal.kill();
    if (terminal.exitCode === null) await once(terminal, 'exit');
  }
  const lines = Buffer.concat(log).toString().trim().split('\n');
  const errors = lines.map((line) => JSON.parse(line)).filter(({ level }) => level >= 50);
  expect(errors).toEqual([expect.objectContaining({ component: 'keys', fault: 'key-unavailable' })]);
});
