import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { SqliteDatabases } from '#adapters/sqlite/issuance-databases.ts';
import { checkBatch } from '#issuance/journal/checked-batch.ts';
import { JournalStore } from '#issuance/journal/journal-store.ts';
import { Databases } from '#issuance/storage/databases.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { JournalDevice, startMs } from '../issuance/journal-device.ts';
import { kazasu } from './kazasu.ts';

const device = new JournalDevice('lobby').append(6);
let folder: string;
const run = (...words: readonly string[]) =>
  kazasu('issuance', ...words, '--config', join(folder, 'issuance.yaml'));
const journal = (...words: readonly string[]) => run('journal', ...words, '--organization', 'city');
const inJson = async (...words: readonly string[]) => {
  const { code, out, err } = await journal(...words, '--json');
  expect({ code, err }).toEqual({ code: 0, err: '' });
  return JSON.parse(out);
};

/** Stores entries as the server would. */
async function store(...given: Parameters<JournalDevice['batch']>): Promise<void> {
  const source = new SqliteDatabases({ directory: join(folder, 'state/databases') });
  const databases = new Databases({ source });
  const db = await databases.journal({ id: 'city', number: 1 });
  const clock = new SimulatedClock({ utcMs: startMs });
  const checked = checkBatch(device.batch(...given), device.keys());
  await new JournalStore({ db, clock, entropy: new SystemEntropy() }).store([checked]);
  const permissions = await databases.permissions({ id: 'city', number: 1 });
  await permissions
    .insertInto('certificates')
    .values({
      ...{ serial_number: '1', terminal_id: 'lobby', key_id: '1', device_key: device.key.spki },
      ...{ certificate: new Uint8Array(1), not_before_ms: 0, not_after_ms: 1 },
      ...{ revoked_at_ms: null, reason: null },
    })
    .onConflict((at) => at.doNothing())
    .execute();
  await databases.stop();
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kazasu-issuance-journal-'));
  const config = `formatVersion: 1\nstateDirectory: ${join(folder, 'state')}\n`;
  writeFileSync(join(folder, 'issuance.yaml'), config);
  expect((await run('organization', 'city')).code).toBe(0);
  await store(1, 6, { checkpoints: [await device.checkpoint()] });
});
afterAll(() => rmSync(folder, { recursive: true }));

it('shows how far journals are, and their entries', async () => {
  expect(await inJson('state')).toMatchObject({
    terminals: [{ terminal: 'lobby', sequence: 6, signedThrough: 6, alarms: 0 }],
    alarms: [],
  });
  expect((await journal('state')).out).toMatch(/^lobby\tentry 6\tsigned through 6\t.*nothing wrong/);
  const tap = '4'.padStart(32, '0');
  expect(await inJson('list', '--tap', tap)).toMatchObject({ entries: [{ sequence: 4, kind: 'decision' }] });
  const { out } = await journal('list', '--door', 'south', '--limit', '2');
  expect(out.trimEnd().split('\n')).toHaveLength(2);
  expect(out).not.toContain('A6');
});

it('writes what the terminal would, which verifies elsewhere', async () => {
  const file = join(folder, 'lobby.export');
  expect(await inJson('export', 'lobby', '--out', file)).toMatchObject({ head: device.position() });
  const key = join(folder, 'key.pem');
  const der = Buffer.from(device.key.spki).toString('base64');
  writeFileSync(key, `-----BEGIN PUBLIC KEY-----\n${der}\n-----END PUBLIC KEY-----\n`);
  const verified = await kazasu('journal', 'verify', '--export', file, '--public-key', key, '--json');
  expect(JSON.parse(verified.out)).toMatchObject({ sound: true, entries: 6, checkpoints: 1 });
  expect(readFileSync(file, 'utf8')).not.toContain('"personal":[');
  expect((await journal('export', 'lobby', '--out', file)).err).toContain('exists already');
  expect((await journal('export', 'gate', '--out', `${file}2`)).err).toContain('nothing is stored');
});

it('erases what is said of a person, keeps a rule, and verifies', async () => {
  expect(await inJson('retention')).toEqual({});
  expect(await inJson('retention', '--personal', '90')).toEqual({ personal: 90 });
  expect(await inJson('retention', '--entries', '400')).toEqual({ personal: 90, entries: 400 });
  expect((await journal('retention', '--unlimited')).out).toContain('without limit');
  const numbers = join(folder, 'numbers');
  writeFileSync(numbers, 'A2\nA3\n');
  expect(await inJson('erase', '--user-number-file', numbers)).toEqual({ entries: 2, values: 2 });
  expect((await journal('erase')).err).toContain('name a holder');
  const verified = await journal('verify');
  expect(verified).toMatchObject({ code: 0, err: '' });
  expect(verified.out).toMatch(/lobby: 6 entries[\s\S]*sound: nothing was found/);
});

it('finds what was rewritten, and says so with its exit code', async () => {
  device.entries = device.rewritten(5).append(1).entries;
  await store(1, 7);
  const { code, out } = await journal('verify', '--terminal', 'lobby');
  expect(code).toBe(1);
  expect(out).toContain('FOUND chain-broken');
  expect((await journal('state')).out).toContain('ALARM');
  expect((await journal('verify', '--terminal', 'gate')).err).toContain('nothing is stored');
});
