import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readHolderFile } from '#adapters/csv/holder-file.ts';
import { openDeviceKey } from '#adapters/keyfile/signing.ts';
import { JournalStore } from '#adapters/sqlite/journal-store.ts';
import { PolicyInstaller } from '#adapters/sqlite/policy-installer.ts';
import { siteRulesSchema } from '#core/access/site-rules.ts';
import type { VerifyReport } from '#core/journal/verify-report.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';

const main = join(import.meta.dirname, '../../src/cli/main.ts');
const clock = new SimulatedClock({ utcMs: Date.parse('2026-04-01T00:00:00Z') });
let directory: string;
let file: string;
let key: string;
let store: JournalStore;

interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function kazasu(...words: readonly string[]): Promise<Run> {
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...words], (error, out, err) => {
      resolve({ code: error ? Number(error.code) : 0, out, err });
    });
  });
}

const json = async (...words: readonly string[]) => {
  const run = await kazasu(...words, '--json');
  return { code: run.code, value: JSON.parse(run.out) };
};

async function append(count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    clock.advance(60_000);
    await store.append([
      {
        kind: 'decision',
        atMs: clock.utcMs(),
        monotonicUs: clock.monotonicUs(),
        bootId: clock.bootId(),
        clock: 'trusted',
        body: { door: index % 2 === 0 ? 'north' : 'south', result: 'granted' },
        personal: { userNumber: `holder${index}` },
      },
    ]);
  }
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'kazasu-cli-'));
  file = join(directory, 'journal.sqlite');
  key = join(directory, 'device-key.pub.pem');
  const signing = await openDeviceKey(directory);
  store = new JournalStore({ file, terminal: 'gate', signing, clock, reserveMiB: 2, checkpointEntries: 5 });
  await store.start();
  await append(7);
});

afterAll(async () => {
  await store.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** A policy that knows one holder. */
async function installHolder(policy: string, holder: string): Promise<void> {
  const userNumberFormat = { alphabet: 'digits', minimumLength: 8, maximumLength: 8 };
  const profiles = [{ id: 'type-a', userNumberFormat }];
  const doors = [{ id: 'north' }];
  const rules = siteRulesSchema.parse({ formatVersion: 1, organization: 'city', profiles, doors });
  const list = join(directory, 'holders.csv');
  writeFileSync(list, `user_number,holder\n00000001,${holder}\n`);
  const rows = readHolderFile({ file: list, encoding: 'utf-8', mode: 'delta', rules });
  const installer = new PolicyInstaller({ file: policy });
  await installer.start();
  await installer.installRules(rules, 0);
  await installer.importHolders({ mode: 'delta', dryRun: false, nowMs: 0, rows, confirm: async () => true });
  await installer.stop();
}

describe('while the terminal writes', () => {
  test('journal list shows the entries in local time', async () => {
    const { code, out } = await kazasu(
      'journal',
      'list',
      '--database',
      file,
      '--limit',
      '2',
      '--door',
      'north',
    );
    expect(code).toBe(0);
    expect(out.trimEnd().split('\n')).toEqual([
      '      5  2026-04-01 09:05:00  decision   door=north result=granted userNumber=holder4',
      '      7  2026-04-01 09:07:00  decision   door=north result=granted userNumber=holder6',
    ]);
    const { value } = await json('journal', 'list', '--database', file, '--from', '2', '--limit', '1');
    expect(value).toMatchObject([{ entry: { sequence: 2 }, personal: { userNumber: 'holder1' } }]);
  });

  test('journal head and verify agree', async () => {
    const head = await json('journal', 'head', '--database', file);
    expect(head).toMatchObject({ code: 0, value: { terminal: 'gate', sequence: 7 } });
    const short = `7:${head.value.hash}`;
    expect((await kazasu('journal', 'head', '--database', file)).out).toContain(short);
    const { code, value } = await json(
      'journal',
      'verify',
      '--database',
      file,
      '--head',
      short,
      '--public-key',
      key,
    );
    expect(code).toBe(0);
    const report: VerifyReport = value;
    expect(report).toMatchObject({ sound: true, entries: 7 });
    expect(report.chains[0]?.segments).toMatchObject([{ toSequence: 7, headThrough: 7 }]);
    const text = await kazasu('journal', 'verify', '--database', file);
    expect(text.out).toMatch(/give --public-key[\s\S]*sound: nothing was found/);
  });

  test('journal erase is refused', async () => {
    const { code, err } = await kazasu('journal', 'erase', '--database', file, '--sequence', '1');
    expect(code).toBe(1);
    expect(err).toMatch(/^kazasu: database-in-use: /);
  });
});

describe('an export', () => {
  test('verifies like the journal, names nobody unless asked to, and is never written over', async () => {
    const out = join(directory, 'export.jsonl');
    const made = await json('journal', 'export', '--database', file, '--out', out);
    expect(made).toMatchObject({ code: 0, value: { entries: 7, head: { sequence: 7 } } });
    expect(readFileSync(out, 'utf8')).not.toContain('holder6');
    const verified = await json('journal', 'verify', '--export', out, '--public-key', key);
    expect(verified).toMatchObject({ code: 0, value: { sound: true, entries: 7 } });
    const again = await kazasu('journal', 'export', '--database', file, '--out', out);
    expect(again).toMatchObject({ code: 1, err: expect.stringContaining('exists already') });

    const personal = join(directory, 'personal.jsonl');
    expect(
      (await kazasu('journal', 'export', '--database', file, '--out', personal, '--with-personal')).code,
    ).toBe(0);
    expect(readFileSync(personal, 'utf8')).toContain('"holder6"');
    expect((await kazasu('journal', 'verify', '--export', personal)).code).toBe(0);
  });

  test('that was cut off or changed is not sound', async () => {
    const out = join(directory, 'whole.jsonl');
    await kazasu('journal', 'export', '--database', file, '--out', out, '--with-personal');
    const lines = readFileSync(out, 'utf8').trim().split('\n');
    const cut = join(directory, 'cut.jsonl');
    writeFileSync(cut, `${lines.slice(0, -1).join('\n')}\n`);
    expect(await kazasu('journal', 'verify', '--export', cut)).toMatchObject({
      code: 1,
      out: expect.stringContaining('cut off'),
    });
    const changed = join(directory, 'changed.jsonl');
    writeFileSync(changed, `${lines.join('\n').replace('"holder3"', '"holder9"')}\n`);
    expect(await kazasu('journal', 'verify', '--export', changed)).toMatchObject({
      code: 1,
      out: expect.stringContaining('FOUND personal-changed: entry 4: userNumber was changed'),
    });
    writeFileSync(changed, 'no export\n');
    expect((await kazasu('journal', 'verify', '--export', changed)).err).toMatch(/file-unreadable/);
  });
});

describe('once the terminal has stopped', () => {
  test('journal erase asks for the number of values, erases them for good, and the chain still verifies', async () => {
    await store.stop();
    const words = ['journal', 'erase', '--database', file, '--before', '2026-04-01 09:04'];
    const asked = await kazasu(...words);
    expect(asked).toMatchObject({ code: 1, err: expect.stringContaining('--confirm-erasure 3') });
    expect((await kazasu(...words, '--confirm-erasure', '2')).code).toBe(1);
    const { code, value } = await json(...words, '--confirm-erasure', '3');
    expect({ code, value }).toEqual({ code: 0, value: { values: 3, erased: true, logCleared: true } });
    const bytes = ['', '-wal'].map((suffix) => readFileSync(file + suffix).toString('latin1')).join();
    expect(bytes).toContain('holder6');
    for (const gone of ['holder0', 'holder1', 'holder2']) expect(bytes).not.toContain(gone);
    const report: VerifyReport = (await json('journal', 'verify', '--database', file, '--public-key', key))
      .value;
    expect(report).toMatchObject({ sound: true, entries: 8, erased: [{ ranges: [[1, 3]] }] });
    const { value: views } = await json('journal', 'list', '--database', file, '--from', '3', '--limit', '2');
    expect(views).toMatchObject([{ personal: {} }, { personal: { userNumber: 'holder3' } }]);
  });

  test('journal erase forgets what rules remember of holders, with what was counted of them', async () => {
    const since = { terminal: 'gate', utcMs: 0, trusted: true, monotonicMs: 0, bootId: 'b' };
    const item = { v: 1, out: true, terminal: 'gate' };
    const put = new Database(file);
    const fact = put.prepare('INSERT INTO facts (holder_id, key, value) VALUES (?, ?, ?)');
    for (const holder of ['sato', 'abe', 'mori'])
      fact.run(holder, 'at', JSON.stringify({ zone: 'lab', epoch: 0, since }));
    fact.run('sato', 'loan/keys/k1', JSON.stringify(item));
    fact.run('', 'loan/keys/k1', JSON.stringify(item));
    fact.run('', 'count/lab', JSON.stringify({ epoch: 0, parts: [{ terminal: 'gate', n: 3, v: 3 }] }));
    put.close();
    const policy = join(directory, 'policy.sqlite');
    await installHolder(policy, 'mori');

    const erase = (...words: readonly string[]) =>
      json('journal', 'erase', '--database', file, '--policy', policy, ...words);
    expect(await erase('--holder', 'sato', '--confirm-erasure', '2')).toMatchObject({ value: { values: 2 } });
    expect(await erase('--former', '--confirm-erasure', '1')).toMatchObject({ value: { values: 1 } });
    const wrong = (...words: readonly string[]) => kazasu('journal', 'erase', '--database', file, ...words);
    const none = join(directory, 'none.sqlite');
    expect((await wrong('--former', '--policy', none)).err).toMatch(/policy-absent/);
    expect((await wrong('--holder', 'sato')).err).toMatch(/argument-invalid: name --policy/);
    expect((await wrong('--sequence', '1', '--policy', policy)).err).toMatch(
      /argument-invalid: name --policy/,
    );
    const db = new Database(file);
    const left = db.prepare('SELECT holder_id, key, value FROM facts ORDER BY holder_id, key').all();
    db.close();
    expect(left).toMatchObject([
      { holder_id: '', key: 'count/lab', value: expect.stringContaining('"n":1') },
      { holder_id: '', key: 'loan/keys/k1', value: expect.stringContaining('"out":false') },
      { holder_id: 'mori', key: 'at' },
    ]);
    const report: VerifyReport = (await json('journal', 'verify', '--database', file, '--public-key', key))
      .value;
    expect(report).toMatchObject({ sound: true, entries: 10 });
  });

  test('journal verify names an entry that was changed, and one that was cut off', async () => {
    const db = new Database(file);
    db.prepare(
      "UPDATE entries SET raw = CAST(replace(CAST(raw AS TEXT), 'north', 'South') AS BLOB) WHERE position = 3",
    ).run();
    db.close();
    const changed = await kazasu('journal', 'verify', '--database', file, '--public-key', key);
    expect(changed.code).toBe(1);
    expect(changed.out).toContain('FOUND entry-changed: entry 3 does not have the hash stored with it');
    expect(changed.out).toContain('NOT SOUND: 1 finding\n');

    const again = new Database(file);
    again.pragma('foreign_keys = OFF');
    again.exec('DELETE FROM checkpoints WHERE position > 5; DELETE FROM entries WHERE position > 5');
    again.close();
    // the head that the device remembers beside the database tells
    const cut = await kazasu('journal', 'verify', '--database', file, '--public-key', key);
    expect(cut.out).toContain(
      'FOUND end-missing: a head kept outside names entry 7; entries 6 to 7 are missing',
    );
  });

  test('wrong arguments are told as such', async () => {
    expect((await kazasu('journal', 'verify')).err).toMatch(
      /argument-invalid: name either --database or --export/,
    );
    expect((await kazasu('journal', 'erase', '--database', file)).err).toMatch(
      /name either --before, --sequence, --holder or --former/,
    );
    expect((await kazasu('journal', 'list', '--database', join(directory, 'none'))).err).toMatch(
      /file-unreadable/,
    );
    expect((await kazasu('journal', 'list', '--database', file, '--limit', 'x')).code).not.toBe(0);
    expect((await kazasu('journal', 'verify', '--database', file, '--head', 'x')).err).toMatch(
      /argument-invalid: x is neither/,
    );
  });
});
