import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

const program = resolve('src/cli/main.ts');
const run = promisify(execFile);
let dataDirectory: string;

beforeEach(async () => {
  dataDirectory = await mkdtemp(join(tmpdir(), 'kazasu-data-'));
});
afterEach(() => rm(dataDirectory, { recursive: true }));

async function startCommand(): Promise<{ child: ChildProcess; url: string; ended: Promise<number | null> }> {
  const child = spawn(
    process.execPath,
    [program, '--json', 'site', '--port', '0', '--data', dataDirectory, '--direct'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const ended = new Promise<number | null>((done) => child.once('exit', done));
  let text = '';
  for await (const piece of child.stdout ?? []) {
    text += String(piece);
    if (text.includes('\n}\n')) break;
  }
  return { child, ended, url: (JSON.parse(text) as { url: string }).url };
}

/** Processes whose command line names the data directory: those of the site. */
async function processesOfSite(): Promise<string[]> {
  const found: string[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const line = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '');
    if (line.includes(dataDirectory)) found.push(line);
  }
  return found;
}

test('it says where it is, serves the page, and ends in order when told to', async () => {
  const { child, url, ended } = await startCommand();
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
  expect(await (await fetch(url)).text()).toContain('<div id="root">');
  child.kill('SIGTERM');
  expect(await ended).toBe(0);
  expect(await processesOfSite()).toEqual([]);
  const database = join(dataDirectory, 'terminals/front/journal.sqlite');
  const key = join(dataDirectory, 'terminals/front/device-key.pub.pem');
  const { stdout } = await run(process.execPath, [
    program,
    '--json',
    'journal',
    'verify',
    '--database',
    database,
    '--public-key',
    key,
  ]);
  expect(JSON.parse(stdout)).toMatchObject({ sound: true });
});

test('an operator commands it from another shell, and the journal says so', async () => {
  const { child, ended } = await startCommand();
  const socket = [
    '--socket',
    join(dataDirectory, 'terminals/front/control.sock'),
    '--reason',
    'a visitor',
    '--json',
  ];
  const { stdout } = await run(process.execPath, [program, 'door', 'unlock', 'front', ...socket]);
  expect(JSON.parse(stdout)).toMatchObject({ outcome: 'done' });
  child.kill('SIGTERM');
  expect(await ended).toBe(0);
  const journal = ['--database', join(dataDirectory, 'terminals/front/journal.sqlite'), '--json'];
  const listed = await run(process.execPath, [program, 'journal', 'list', '--kind', 'command', ...journal]);
  expect(JSON.parse(listed.stdout)).toMatchObject([
    { entry: { body: { command: 'unlock-once', outcome: 'accepted' } }, personal: { reason: 'a visitor' } },
    { entry: { body: { command: 'unlock-once', outcome: 'done', via: 'local' } } },
  ]);
});

test('killed, it takes its doors and their guard along', async () => {
  const { child, ended } = await startCommand();
  expect((await processesOfSite()).length).toBeGreaterThan(1);
  child.kill('SIGKILL');
  await ended;
  await vi.waitFor(async () => expect(await processesOfSite()).toEqual([]), { timeout: 5_000 });
});

test.each([['http'], ['70000'], ['-1']])('the port %s is refused', async (port) => {
  const failure = run(process.execPath, [program, 'site', `--port=${port}`, '--data', dataDirectory]);
  await expect(failure).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining('port') });
});
