import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type RunningSite, startSite } from '#simulators/site/site.ts';
import { SiteClient } from './site-client.ts';

const program = resolve('src/cli/main.ts');
const run = promisify(execFile);
let dataDirectory: string;
let site: RunningSite;
let page: SiteClient;

const start = () => startSite({ dataDirectory, pagesDirectory: tmpdir(), port: 0, cardLink: 'direct' });
/** A command beside the server of the site, as `scripts/kazasu` runs it. */
const issuance = async (...words: readonly string[]): Promise<string> => {
  const place = ['--config', site.issuance, '--organization', 'kazasu-city'];
  const { stdout } = await run(process.execPath, [program, 'issuance', ...words, ...place]);
  return stdout;
};

beforeAll(async () => {
  dataDirectory = await mkdtemp(join(tmpdir(), 'kazasu-data-'));
  site = await start();
}, 120_000);
afterAll(async () => {
  await site.stop();
  await rm(dataDirectory, { recursive: true });
});
beforeEach(async () => {
  page = new SiteClient(site.url);
  await page.open();
});
afterEach(async () => {
  await page.cardsBack();
  page.close();
});

/** Taps until the answer is `kind`: a change beside the server takes about a second to each door. */
async function tapUntil(kind: string, door: 'front' | 'server-room') {
  for (let taps = 1; ; taps += 1) {
    const verdict = await page.tap('employee', door);
    if (verdict.kind === kind || taps === 3) return verdict;
  }
}

test('both doors are terminals of the server, enrolled over TLS, and online', async () => {
  const listed = JSON.parse(await issuance('terminal', 'list', '--json')) as {
    terminals: { terminal: string; state: string; presence?: { online: boolean } }[];
  };
  expect(
    listed.terminals.map(({ terminal, state, presence }) => [terminal, state, presence?.online]),
  ).toEqual([
    ['front', 'enrolled', true],
    ['server-room', 'enrolled', true],
  ]);
});

test('one command suspends a holder: the next tap is refused at either door; another lifts it', async () => {
  expect(await page.tap('employee', 'front')).toMatchObject({ kind: 'granted' });
  await issuance('holder', 'suspend', 'sato');
  for (const door of ['front', 'server-room'] as const) {
    expect(await tapUntil('denied', door)).toMatchObject({ kind: 'denied', reason: 'holder-suspended' });
  }
  await issuance('holder', 'resume', 'sato');
  expect(await tapUntil('granted', 'front')).toMatchObject({ kind: 'granted' });
});

test('a terminal believes nobody else: an import on the device is refused', async () => {
  const database = join(dataDirectory, 'terminals/front/policy.sqlite');
  const rules = resolve('src/simulators/site/deck/rules-never.yaml');
  const imported = run(process.execPath, [program, 'policy', 'import', rules, '--database', database]);
  await expect(imported).rejects.toMatchObject({ stderr: expect.stringContaining('policy-import-refused') });
});

test('what was suspended stays so over a restart of everything; keys and certificates are made once', async () => {
  await issuance('holder', 'suspend', 'sato');
  expect(await tapUntil('denied', 'front')).toMatchObject({ reason: 'holder-suspended' });
  const identity = join(dataDirectory, 'terminals/front/identity/identity.json');
  const before = await readFile(identity, 'utf8');
  await page.cardsBack();
  page.close();
  await site.stop();
  site = await start();
  page = new SiteClient(site.url);
  await page.open();
  expect(await page.tap('employee', 'front')).toMatchObject({ reason: 'holder-suspended' });
  expect(await readFile(identity, 'utf8')).toBe(before);
  await issuance('holder', 'resume', 'sato');
});
