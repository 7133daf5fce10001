import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { FileVault } from '#adapters/sealed/file-vault.ts';

const run = promisify(execFile);
let folder = '';
const running: ChildProcess[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kazasu-tpm-'));
});
afterEach(async () => {
  for (const child of running.splice(0)) {
    child.kill();
    await once(child, 'exit');
  }
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

async function freePorts(): Promise<number> {
  const [first, second] = [createServer(), createServer()];
  for (let tries = 0; tries < 50; tries += 1) {
    const port = 20_000 + ((process.pid * 7 + tries * 131) % 30_000);
    try {
      for (const [server, at] of [
        [first, port],
        [second, port + 1],
      ] as const) {
        await new Promise<void>((resolve, reject) => {
          server.once('error', reject);
          server.listen(at, '127.0.0.1', resolve);
        });
      }
      return port;
    } catch {
      // taken: another pair is tried
    } finally {
      for (const server of [first, second])
        if (server.listening) await new Promise((resolve) => server.close(resolve));
    }
  }
  throw new Error('no two free ports in a row');
}

/** A TPM 2.0 in software with a state of its own, as systemd names it. */
async function startTpm(name: string): Promise<string> {
  const state = join(folder, name);
  await mkdir(state);
  const port = await freePorts();
  const child = spawn(
    'swtpm',
    [
      'socket',
      '--tpm2',
      ...['--tpmstate', `dir=${state}`],
      ...['--server', `type=tcp,port=${port}`, '--ctrl', `type=tcp,port=${port + 1}`],
      ...['--flags', 'not-need-init,startup-clear'],
    ],
    { stdio: 'ignore' },
  );
  running.push(child);
  await untilListening(port + 1, child);
  return `swtpm:host=127.0.0.1,port=${port}`;
}

/** Connects until somebody answers, or the program has ended. */
async function untilListening(port: number, child: ChildProcess): Promise<void> {
  while (child.exitCode === null) {
    const socket = connect(port, '127.0.0.1');
    const answered = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'error').then(() => false),
    ]).catch(() => false);
    socket.destroy();
    if (answered) return;
  }
  throw new Error('swtpm ended');
}

/** What systemd does at the start of the terminal's unit: the credential is decrypted by the TPM, or not. */
async function handOut(credential: string, tpm: string): Promise<void> {
  const directory = join(folder, 'credentials');
  await mkdir(directory, { recursive: true });
  const file = join(directory, 'kazasu-sealing');
  const decrypt = ['decrypt', `--tpm2-device=${tpm}`, '--name=kazasu-sealing', credential, '-'];
  const { stdout } = await run('systemd-creds', decrypt, { encoding: 'buffer' });
  await writeFile(file, stdout, { mode: 0o440 });
  vi.stubEnv('CREDENTIALS_DIRECTORY', directory);
}

test('keys sealed by a credential of the TPM open on this device, and on no other', async () => {
  const credential = join(folder, 'kazasu-sealing.cred');
  const random = join(folder, 'random');
  await writeFile(random, randomBytes(32));
  const tpm = await startTpm('tpm');
  const create = ['encrypt', '--with-key=tpm2', `--tpm2-device=${tpm}`, '--name=kazasu-sealing'];
  await run('systemd-creds', [...create, random, credential]);
  await rm(random);

  await handOut(credential, tpm);
  const vault = () =>
    new FileVault({ file: join(folder, 'vault'), sealing: { credential: 'kazasu-sealing' } });
  const key = new Uint8Array(16).fill(1);
  await vault().create([{ profileId: 'p', version: 1, diversification: 'kdf3', key }]);
  await rm(join(folder, 'credentials'), { recursive: true });

  await handOut(credential, tpm);
  const opened = vault();
  await opened.start();
  expect(await opened.list()).toHaveLength(1);
  await opened.stop();
  await rm(join(folder, 'credentials'), { recursive: true });

  const another = await startTpm('another');
  await expect(handOut(credential, another)).rejects.toMatchObject({ code: expect.any(Number) });
  await expect(vault().start()).rejects.toMatchObject({ code: 'key-sealing-mismatch' });
});
