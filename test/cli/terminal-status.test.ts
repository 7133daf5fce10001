import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { CardKeyWriter } from '#adapters/sealed/card-key-file.ts';
import { makeReceivingKey, receiverKey } from '#adapters/sealed/receiving-key.ts';
import { SealedCardKeys } from '#adapters/sealed/sealed-card-keys.ts';
import { profileFile } from '../contracts/deck.ts';

const run = promisify(execFile);
const kazasu = join(import.meta.dirname, '../../scripts/kazasu');
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

/** A terminal that runs under this service manager, in a program that `wrapping` starts. */
async function running(
  wrapping: readonly string[],
  meanwhile: (told: (text: string) => Promise<void>, pid: number) => Promise<void>,
): Promise<string> {
  const env = {
    ...process.env,
    PATH: `${folder}/bin:${process.env.PATH}`,
    NOTIFY_SOCKET: join(folder, 'none'),
  };
  const words = [...wrapping, kazasu, 'terminal', 'run'];
  const [program = '', ...args] = [...words, '--config', join(folder, 'terminal.yaml')];
  const terminal = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const log: Buffer[] = [];
  terminal.stdout.on('data', (piece: Buffer) => log.push(piece));
  const told = (text: string) =>
    vi.waitFor(async () => expect(await readFile(join(folder, 'told'), 'utf8')).toContain(text), {
      timeout: 20_000,
    });
  try {
    await meanwhile(told, terminal.pid ?? 0);
  } finally {
    terminal.kill();
    if (terminal.exitCode === null) await once(terminal, 'exit');
  }
  return Buffer.concat(log).toString();
}

test('the service manager is told that there are no keys, that there are, and a stop without an error', async () => {
  const log = await running([], async (told) => {
    await told('--ready --status=no keys: key-unavailable, cards that authenticate are denied: 1 doors');
    // while the journal was opened, which may take longer than the unit gives a start
    expect(await readFile(join(folder, 'told'), 'utf8')).toMatch(/^(EXTEND_TIMEOUT_USEC=\d+\n)+--ready/);
    const directory = join(folder, 'card-keys');
    const sealing = { passphraseFile: join(folder, 'passphrase') };
    const receiver = await makeReceivingKey(directory, { sealing, terminal: 'entrance' });
    const about = { terminal: 'entrance', exportId: 'test', exportedAt: '2026-11-22T00:00:00.000Z' };
    const content = new CardKeyWriter(receiverKey(receiver)).finish(about);
    await new SealedCardKeys({ directory, sealing }).install(content);
    const out = 'out of service: door (door-hardware-absent)';
    await told(`--status=ready: 1 doors, 1 readers; keys not sealed; ${out}`);
  });
  const lines = log.trim().split('\n');
  const errors = lines.map((line) => JSON.parse(line)).filter(({ level }) => level >= 50);
  expect(errors).toEqual([expect.objectContaining({ component: 'keys', fault: 'key-unavailable' })]);
});

test('the service manager is told while the journal cannot be written', async () => {
  const disk = join(folder, 'disk');
  await mkdir(disk);
  const configuration = await readFile(join(folder, 'terminal.yaml'), 'utf8');
  await writeFile(
    join(folder, 'terminal.yaml'),
    configuration
      .replace(`stateDirectory: ${folder}`, `stateDirectory: ${disk}`)
      .replace(profileFile('synthetic-type-a'), profileFile('synthetic-type-c'))
      .replace(/^keys: .*$/m, ''),
  );
  // smaller than the space the journal is to reserve
  const mountAndRun = `mount -t tmpfs -o size=4m tmpfs ${disk} && exec "$@"`;
  const wrapping = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', mountAndRun, 'sh'];
  await running(wrapping, async (told, pid) => {
    await told('--ready --status=the journal cannot be written, cards are denied: 1 doors, 1 readers');
    await run('nsenter', ['-t', String(pid), '-m', 'mount', '-o', 'remount,size=64m', disk]);
    await told('--status=ready: 1 doors, 1 readers');
  });
});
