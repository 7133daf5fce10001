import { EventEmitter, once } from 'node:events';
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openDeviceKey } from '#adapters/keyfile/signing.ts';
import { FactsReader } from '#adapters/sqlite/facts.ts';
import { JournalReader } from '#adapters/sqlite/journal-reader.ts';
import { JournalStore, type JournalStoreParts } from '#adapters/sqlite/journal-store.ts';
import type { StateChange } from '#core/access/access-state.ts';
import { parseEntry } from '#core/journal/entry.ts';
import type { JournalRecord } from '#core/journal/record.ts';
import { type JournalItem, verifyJournal } from '#core/journal/verify.ts';
import type { Signing } from '#ports/signing.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';

const startMs = Date.parse('2026-04-01T00:00:00Z');
let directory: string;
let file: string;
let clock: SimulatedClock;
let signing: Signing;
let opened: { stop(): Promise<void> }[];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'kazasu-journal-'));
  file = join(directory, 'journal.sqlite');
  clock = new SimulatedClock({ utcMs: startMs });
  signing = await openDeviceKey(directory);
  opened = [];
});

afterEach(async () => {
  for (const one of opened) await one.stop();
  rmSync(directory, { recursive: true, force: true });
});

function store(parts: Partial<JournalStoreParts> = {}): JournalStore {
  const made = new JournalStore({ file, terminal: 'gate', signing, clock, reserveMiB: 2, ...parts });
  opened.push(made);
  return made;
}

async function reader(path = file): Promise<JournalReader> {
  const made = new JournalReader({ file: path });
  await made.start();
  opened.push(made);
  return made;
}

function record(index: number, kind: JournalRecord['kind'] = 'decision'): JournalRecord {
  return {
    kind,
    atMs: clock.utcMs(),
    monotonicUs: clock.monotonicUs(),
    bootId: clock.bootId(),
    clock: 'trusted',
    tapId: index.toString(16).padStart(32, '0'),
    body: { door: index % 2 === 0 ? 'north' : 'south', index },
    ...(kind === 'decision' ? { personal: { userNumber: `A${index}` } } : {}),
  };
}

const records = (count: number) => Array.from({ length: count }, (_, index) => record(index));

async function verified(path = file) {
  const items: JournalItem[] = [];
  for await (const item of (await reader(path)).items()) items.push(item);
  return verifyJournal(items, {
    publicKeys: [signing.publicKey()],
    heads: [],
    personalIncluded: true,
    checkpointEveryEntries: 1_000,
  });
}

const factsOf = (holderId: string) => new FactsReader(file).of(holderId);
const changing = (index: number, changes: readonly StateChange[]) => ({ ...record(index), changes });

describe('facts', () => {
  test('become durable with the entry that changes them, and outlast a restart', async () => {
    expect(factsOf('h1')).toEqual(new Map());
    const journal = store();
    await journal.start();
    const path = [{ zone: 'lab' }, 'naïve', 1.5, null, true];
    await journal.append([
      changing(0, [
        { key: 'inside', holderId: 'h1', value: path },
        { key: 'uses', holderId: 'h1', value: 1 },
        { key: 'count', value: 1 },
      ]),
      changing(1, [
        { key: 'uses', holderId: 'h1', value: 2 },
        { key: 'uses', holderId: 'h2', value: 9 },
      ]),
    ]);
    expect(factsOf('h1')).toEqual(
      new Map<string, unknown>([
        ['inside', path],
        ['uses', 2],
      ]),
    );
    await journal.append([changing(2, [{ key: 'inside', holderId: 'h1' }])]);
    expect(await journal.sharedFacts()).toEqual(new Map([['count', 1]]));
    await journal.stop();
    const again = store();
    await again.start();
    expect(await again.sharedFacts()).toEqual(new Map([['count', 1]]));
    expect([factsOf('h1'), factsOf('h2')]).toEqual([new Map([['uses', 2]]), new Map([['uses', 9]])]);
  });

  test('leave the entries as they are without them', async () => {
    const journal = store();
    await journal.start();
    await journal.append([changing(0, [{ key: 'inside', holderId: 'h1', value: 'lab' }])]);
    await journal.stop();
    const [view] = await (await reader()).list({ limit: 1 });
    expect(view?.entry).not.toHaveProperty('changes');
    expect(JSON.stringify(view)).not.toContain('lab');
    expect(await verified()).toMatchObject({ sound: true, entries: 1 });
  });

  test('of a record that is refused are not stored', async () => {
    const journal = store();
    await journal.start();
    const good = changing(0, [{ key: 'uses', holderId: 'h1', value: 1 }]);
    const wrong = { ...changing(1, [{ key: 'uses', holderId: 'h1', value: 2 }]), body: { open: Number.NaN } };
    await Promise.allSettled([journal.append([good]), journal.append([wrong])]);
    expect(factsOf('h1')).toEqual(new Map([['uses', 1]]));
  });
});

describe('appending', () => {
  test('chains entries in the order given and signs the last at stop', async () => {
    const journal = store();
    expect(await journal.start()).toMatchObject({ terminal: 'gate', sequence: 0 });
    const heads = await Promise.all([
      journal.append(records(2)),
      journal.append(records(3)),
      journal.append([record(9)]),
    ]);
    expect(heads.map((head) => head.sequence)).toEqual([2, 5, 6]);
    await journal.stop();

    const report = await verified();
    expect(report.findings).toEqual([]);
    expect(report.chains).toMatchObject([
      { lastSequence: 6, segments: [{ toSequence: 6, signedThrough: 6 }] },
    ]);
    const head = await (await reader()).head();
    expect(head).toEqual(heads[2]);
  });

  test('goes on where the last run stopped', async () => {
    const first = store();
    await first.start();
    const before = await first.append(records(3));
    await first.stop();
    const second = store();
    expect(await second.start()).toEqual(before);
    expect(await second.append(records(1))).toMatchObject({ incarnation: before.incarnation, sequence: 4 });
    await second.stop();
    expect(await verified()).toMatchObject({ sound: true, entries: 4, checkpoints: 2 });
  });

  test('refuses a record that has no JSON form without harming those beside it', async () => {
    const journal = store();
    await journal.start();
    const wrong = { ...record(1), body: { door: 'north', open: Number.NaN } };
    const [good, bad, after] = await Promise.allSettled([
      journal.append([record(0)]),
      journal.append([wrong]),
      journal.append([record(2)]),
    ]);
    expect([good?.status, bad?.status, after?.status]).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    await journal.stop();
    expect(await verified()).toMatchObject({ sound: true, entries: 2 });
  });
});

describe('checkpoints', () => {
  test('are signed every so many entries, and every so often while entries come', async () => {
    const checkpoints = new EventEmitter();
    const telling: Signing = {
      ...signing,
      sign: async (message) => {
        const signature = await signing.sign(message);
        checkpoints.emit('signed');
        return signature;
      },
    };
    const journal = store({ signing: telling, checkpointEntries: 10, checkpointIntervalMs: 600_000 });
    await journal.start();
    let signed = once(checkpoints, 'signed');
    await journal.append(records(10));
    await signed;
    // the thread answers in order: behind the second answer the checkpoint is stored
    await journal.space();
    await journal.space();
    await journal.append(records(3));
    signed = once(checkpoints, 'signed');
    clock.advance(600_000);
    await signed;
    await journal.append(records(1));
    await journal.stop();
    const report = await verified();
    // after 10, after the interval, at the stop
    expect(report).toMatchObject({ sound: true, checkpoints: 3 });
  });

  test('leave no timer behind without new entries', async () => {
    const journal = store();
    await journal.start();
    expect(clock.pendingTimers()).toBe(0);
    await journal.append(records(1));
    expect(clock.pendingTimers()).toBe(1);
    await journal.stop();
    expect(clock.pendingTimers()).toBe(0);
  });

  test('are made at start for what the last run left unsigned', async () => {
    const failing: Signing = { ...signing, sign: () => Promise.reject(new Error('vault away')) };
    const first = store({ signing: failing });
    await first.start();
    await first.append(records(2));
    await expect(first.stop()).rejects.toThrow('vault away');
    const second = store();
    await second.start();
    expect((await verified()).chains[0]?.segments).toMatchObject([{ signedThrough: 2 }]);
  });
});

describe('one writer', () => {
  test('refuses a second one until the first has stopped', async () => {
    const first = store();
    await first.start();
    const second = store();
    await expect(second.start()).rejects.toMatchObject({ code: 'database-in-use' });
    await first.stop();
    await second.start();
  });

  test('never keeps readers out', async () => {
    const journal = store();
    await journal.start();
    const reading = await reader();
    await journal.append(records(1));
    expect(await reading.head()).toMatchObject({ sequence: 1 });
  });
});

describe('incarnations', () => {
  test('a restored older copy goes on as a new incarnation, recorded with where it stood', async () => {
    const first = store();
    await first.start();
    const old = await first.append(records(2));
    await first.stop();
    const copy = join(directory, 'backup.sqlite');
    copyFileSync(file, copy);
    const second = store();
    await second.start();
    await second.append(records(4));
    await second.stop();

    copyFileSync(copy, file);
    const restored = store();
    const head = await restored.start();
    expect(head).toMatchObject({ sequence: 1 });
    expect(head.incarnation).not.toBe(old.incarnation);
    await restored.stop();
    const [entry] = await (await reader()).list({ limit: 1 });
    expect(entry?.entry.body).toEqual({
      event: 'incarnation-started',
      reason: 'restored',
      previous: { ...old },
    });
    expect(await verified()).toMatchObject({
      sound: true,
      chains: [{ lastSequence: 2 }, { lastSequence: 1 }],
    });
  });

  test('a terminal with another name starts one too', async () => {
    const first = store();
    await first.start();
    await first.append(records(1));
    await first.stop();
    const second = store({ terminal: 'back-door' });
    expect(await second.start()).toMatchObject({ terminal: 'back-door', sequence: 1 });
  });

  test('starting and stopping without entries starts none', async () => {
    const first = store();
    const { incarnation } = await first.start();
    await first.stop();
    const second = store();
    expect(await second.start()).toMatchObject({ incarnation, sequence: 0 });
  });
});

describe('a database that is not in order', () => {
  test('of a newer version is refused by writer and reader', async () => {
    const journal = store();
    await journal.start();
    await journal.stop();
    const db = new Database(file);
    db.pragma('user_version = 4');
    db.close();
    await expect(store().start()).rejects.toMatchObject({ code: 'database-newer' });
    await expect(reader()).rejects.toMatchObject({ code: 'database-newer' });
  });

  test('of another program, or no database at all', async () => {
    const db = new Database(file);
    db.exec('CREATE TABLE something (a)');
    db.close();
    await expect(store().start()).rejects.toMatchObject({ code: 'database-invalid' });
    writeFileSync(file, 'This is not a database, whatever its name says.'.repeat(100));
    await expect(store().start()).rejects.toMatchObject({ code: 'database-invalid' });
    await expect(reader(join(directory, 'absent.sqlite'))).rejects.toMatchObject({ code: 'file-unreadable' });
  });

  test('whose last entry is damaged is not continued', async () => {
    const journal = store();
    await journal.start();
    await journal.append(records(2));
    await journal.stop();
    const db = new Database(file);
    db.prepare("UPDATE entries SET raw = CAST(replace(CAST(raw AS TEXT), 'south', 'north') AS BLOB)").run();
    db.close();
    await expect(store().start()).rejects.toMatchObject({ code: 'journal-broken' });
  });
});

describe('reading', () => {
  test('lists the newest entries, or from a sequence number, by kind and door', async () => {
    const journal = store();
    await journal.start();
    await journal.append([record(0), record(1, 'door'), record(2), record(3, 'door'), record(4)]);
    const reading = await reader();
    const sequences = async (query: Parameters<typeof reading.list>[0]) =>
      (await reading.list(query)).map((view) => view.entry.sequence);
    expect(await sequences({ limit: 2 })).toEqual([4, 5]);
    expect(await sequences({ limit: 2, fromSequence: 2 })).toEqual([2, 3]);
    expect(await sequences({ limit: 9, kind: 'door' })).toEqual([2, 4]);
    expect(await sequences({ limit: 9, doorId: 'north' })).toEqual([1, 3, 5]);
    expect(await sequences({ limit: 9, doorId: 'north', kind: 'door' })).toEqual([]);
    const [view] = await reading.list({ limit: 1 });
    expect(view?.personal).toEqual({ userNumber: 'A4' });
  });

  test('streams a journal of several pages in order', async () => {
    const journal = store({ checkpointEntries: 700 });
    await journal.start();
    for (let index = 0; index < 5; index += 1) await journal.append(records(500));
    await journal.stop();
    const report = await verified();
    expect(report).toMatchObject({ sound: true, entries: 2_500 });
    expect(report.chains[0]?.segments).toHaveLength(1);
  });

  test('stores no personal value in the chain', async () => {
    const journal = store();
    await journal.start();
    await journal.append([record(77)]);
    const items: JournalItem[] = [];
    for await (const item of (await reader()).items()) items.push(item);
    const entry = items.find((item) => item.kind === 'entry');
    expect(entry?.personal).toMatchObject([{ field: 'userNumber', value: 'A77' }]);
    expect(new TextDecoder().decode(entry?.raw)).not.toContain('A77');
    expect(parseEntry(entry?.raw ?? new Uint8Array())?.personal?.userNumber).toMatch(/^[0-9A-F]{64}$/);
  });
});

describe('space', () => {
  test('is taken beforehand, for the database and its log, and kept at stop', async () => {
    const journal = store({ reserveMiB: 8 });
    await journal.start();
    const allocated = (path: string) => statSync(path).blocks * 512;
    expect(allocated(file)).toBeGreaterThanOrEqual(8 * 1024 * 1024);
    expect(allocated(`${file}-wal`)).toBeGreaterThanOrEqual(768 * 1024);
    const space = await journal.space();
    expect(space).toMatchObject({ entries: 0, level: 'ample' });
    expect(space.reservedBytes).toBeGreaterThanOrEqual(8 * 1024 * 1024);
    expect(space.usedBytes).toBeLessThan(100_000);
    await journal.append(records(100));
    expect((await journal.space()).entries).toBe(100);
    await journal.stop();
    expect(allocated(file)).toBeGreaterThanOrEqual(8 * 1024 * 1024);
    expect(allocated(`${file}-wal`)).toBeGreaterThanOrEqual(1024 * 1024);
  });

  test('grows when the configuration asks for more', async () => {
    const small = store({ reserveMiB: 2 });
    await small.start();
    await small.append(records(10));
    await small.stop();
    const large = store({ reserveMiB: 6 });
    await large.start();
    expect((await large.space()).reservedBytes).toBeGreaterThanOrEqual(6 * 1024 * 1024);
    await large.stop();
    expect((await verified()).sound).toBe(true);
  });

  test('is told in days at the present rate, with an alarm on the way to full', async () => {
    const journal = store({ reserveMiB: 2 });
    await journal.start();
    await journal.append(records(500));
    expect((await journal.space()).daysLeft).toBeUndefined();
    clock.advance(2 * 86_400_000);
    await journal.append(records(1));
    const { daysLeft, level, capacityEntries } = await journal.space();
    expect(daysLeft).toBeCloseTo((capacityEntries - 501) / (501 / 2), 5);
    expect(level).toBe('critical');
  });
});

describe('the device key', () => {
  test('is made once, kept private, and its public half is published', async () => {
    const again = await openDeviceKey(directory);
    expect(again.keyId()).toBe(signing.keyId());
    expect(statSync(join(directory, 'device-key.p8')).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(directory, 'device-key.pub.pem'), 'utf8')).toContain('BEGIN PUBLIC KEY');
  });

  test('is refused when others may read it or it is no key', async () => {
    chmodSync(join(directory, 'device-key.p8'), 0o644);
    await expect(openDeviceKey(directory)).rejects.toMatchObject({ code: 'key-file-invalid' });
    chmodSync(join(directory, 'device-key.p8'), 0o600);
    writeFileSync(join(directory, 'device-key.p8'), 'nothing');
    await expect(openDeviceKey(directory)).rejects.toMatchObject({ code: 'key-file-invalid' });
    await expect(openDeviceKey(join(directory, 'absent'))).rejects.toMatchObject({ code: 'key-unavailable' });
  });
});
