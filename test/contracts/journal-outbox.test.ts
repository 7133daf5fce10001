import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { openDeviceKey } from '#adapters/keyfile/signing.ts';
import { erasePersonalValues } from '#adapters/sqlite/journal-erasure.ts';
import { JournalOutboxStore } from '#adapters/sqlite/journal-outbox-store.ts';
import { JournalStore } from '#adapters/sqlite/journal-store.ts';
import type { JournalRecord } from '#core/journal/record.ts';
import { decodeJournalBatch } from '#core/sync/journal-batch.ts';
import { decodeLiveEvents, encodeLiveEvents, mostLiveEvents } from '#core/sync/live-events.ts';
import { maxPayloadBytes } from '#core/sync/topics.ts';
import type { BatchRequest } from '#ports/journal-outbox.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';

const to = { organization: 'city', terminal: 'gate' };
let directory: string;
let file: string;
let clock: SimulatedClock;
let journal: JournalStore;
let outbox: JournalOutboxStore;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'kazasu-outbox-'));
  file = join(directory, 'journal.sqlite');
  clock = new SimulatedClock({ utcMs: Date.parse('2026-04-01T00:00:00Z') });
  const signing = await openDeviceKey(directory);
  journal = new JournalStore({ file, terminal: 'gate', signing, clock, reserveMiB: 8 });
  outbox = new JournalOutboxStore({ file });
});

afterEach(async () => {
  await outbox.stop();
  await journal.stop();
  rmSync(directory, { recursive: true, force: true });
});

const record = (index: number, changes: Partial<JournalRecord> = {}): JournalRecord => ({
  kind: 'decision',
  atMs: clock.utcMs() + index,
  monotonicUs: index,
  bootId: 'boot',
  clock: 'trusted',
  tapId: index.toString(16).padStart(32, '0'),
  body: { door: 'north', index },
  personal: { userNumber: `A${index}` },
  ...changes,
});
const records = (count: number) => Array.from({ length: count }, (_, index) => record(index + 1));
function alarm(index: number): JournalRecord {
  const { personal: _, tapId: __, ...plain } = record(0);
  return { ...plain, kind: 'alarm', body: { alarm: 'forced', index } };
}

/** How many threads of this process are scheduled as SCHED_IDLE (proc(5): field 41 of stat, counted here behind the name). */
function threadsWhenIdle(): number {
  return readdirSync('/proc/self/task').filter((thread) => {
    const stat = readFileSync(`/proc/self/task/${thread}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[41 - 3] === '5';
  }).length;
}

async function batch(changes: Partial<BatchRequest> = {}) {
  const made = await outbox.batch({
    to,
    behind: 0,
    signedBehind: 0,
    mostEntries: 200,
    mostBytes: maxPayloadBytes,
    asks: false,
    ...changes,
  });
  if (!made) return undefined;
  const read = decodeJournalBatch(made.payload, to);
  if (read.kind === 'refused') throw new Error(read.reason);
  return { ...made, batch: read.value };
}

describe('a journal as it is read for the server', () => {
  test('is sent as it is stored, with what is left of its personal values, while it is written', async () => {
    await journal.start();
    await journal.append(records(250));
    await outbox.start();
    const writing = journal.append(records(50));
    const first = await batch();
    expect(first).toMatchObject({ from: 1, through: 200, batch: { first: 1, oldestKept: 1 } });
    await writing;
    expect((await batch({ behind: 200 }))?.through).toBe(300);
    expect(first?.batch.entries[9]?.personal).toMatchObject([{ field: 'userNumber', value: 'A10' }]);
    expect(await batch({ behind: 300 })).toBeUndefined();
    expect(await batch({ behind: 300, asks: true })).toMatchObject({ from: 301, through: 300 });
    await journal.stop();
    const selection = { sequence: 10 };
    await erasePersonalValues({ file, selection, clock, confirm: async () => true });
    const again = await batch();
    expect(again?.batch.entries[9]?.personal).toEqual([]);
    expect(again?.batch.entries[9]?.raw).toEqual(first?.batch.entries[9]?.raw);
    // the last run signed its end when it ended
    expect((await batch({ behind: 200 }))?.batch.checkpoints).toHaveLength(1);
    expect(await batch({ behind: 301, signedBehind: 300 })).toBeUndefined();
  });

  test('is sent whatever a disk has made of what stands beside its entries', async () => {
    await journal.start();
    await journal.append(records(20));
    await journal.stop();
    const db = new Database(file);
    const change = (column: string, value: string | Buffer, position: number) =>
      db.prepare(`UPDATE personal SET ${column} = ? WHERE position = ?`).run(value, position);
    change('field', 'user number', 3);
    change('salt', Buffer.alloc(3), 4);
    change('value', 'A'.repeat(300), 5);
    db.prepare('UPDATE checkpoints SET signature = ?').run(Buffer.alloc(63));
    db.close();
    await outbox.start();
    const sent = await batch();
    expect(sent?.through).toBe(20);
    expect(sent?.batch.entries.map(({ personal }) => personal.length)).toEqual(
      Array.from({ length: 20 }, (_, at) => (at >= 2 && at <= 4 ? 0 : 1)),
    );
    expect(sent?.batch.checkpoints).toEqual([]);
  });

  test('is known as far as the server has it, over a restart', async () => {
    await journal.start();
    const { hash, incarnation } = await journal.append(records(20));
    await outbox.start();
    await journal.uploaded({ stored: 20, signed: 7 });
    expect(await outbox.extent()).toEqual({ last: 20, uploaded: { stored: 20, signed: 7 } });
    await journal.stop();
    await journal.start();
    expect(await outbox.extent()).toEqual({ last: 20, uploaded: { stored: 20, signed: 7 } });
    const at = (sequence: number, other = hash) => ({ incarnation, sequence, hash: other });
    expect(await outbox.locate(at(20), 5, 7)).toEqual({ stored: 20, signed: 5, agrees: true });
    expect(await outbox.locate(at(0), 0, 7)).toEqual({ stored: 0, signed: 0, agrees: true });
    expect(await outbox.locate(at(19), 0, 0)).toMatchObject({ stored: 19, agrees: false });
    expect(await outbox.locate(at(21), 0, 0)).toMatchObject({ stored: 20, agrees: false });
    expect(await outbox.locate({ ...at(1), incarnation: 'other' }, 0, 0)).toBeUndefined();
  });

  test('tells alarms first, each newest first, nothing personal, and no more than a message holds', async () => {
    await journal.start();
    await journal.append([...records(30), alarm(31), ...records(10), alarm(42), ...records(3)]);
    await outbox.start();
    const all = await outbox.live({ behind: 0, alarmsOnly: false });
    expect(all.slice(0, 4).map(({ sequence, kind }) => [sequence, kind])).toEqual([
      [42, 'alarm'],
      [31, 'alarm'],
      [45, 'decision'],
      [44, 'decision'],
    ]);
    expect(JSON.stringify(all)).not.toMatch(/userNumber|personal/);
    const alarms = await outbox.live({ behind: 31, alarmsOnly: true });
    expect(alarms.map(({ sequence }) => sequence)).toEqual([42]);
    expect(await outbox.live({ behind: 45, alarmsOnly: false })).toEqual([]);
    // a name in a body is no kind
    await journal.append([record(46, { body: { text: '"kind":"alarm"' } })]);
    expect(await outbox.live({ behind: 45, alarmsOnly: true })).toEqual([]);
    await journal.append(records(100).map((one) => ({ ...one, body: { text: 'x'.repeat(3_000) } })));
    const large = await outbox.live({ behind: 46, alarmsOnly: false });
    expect(large.length).toBeGreaterThan(5);
    expect(large.length).toBeLessThan(mostLiveEvents);
    expect(decodeLiveEvents(encodeLiveEvents({ ...to, events: large }), to)).toMatchObject({
      kind: 'accepted',
    });
  });

  test('is read by a thread that leaves the processor to whoever stands at a reader', async () => {
    await journal.start();
    const idle = threadsWhenIdle();
    await outbox.start();
    expect(threadsWhenIdle()).toBe(idle + 1);
  });

  test('is read all the same where no thread may say that', async () => {
    await journal.start();
    await journal.append(records(3));
    const idle = threadsWhenIdle();
    vi.stubEnv('PATH', directory);
    await outbox.start().finally(() => vi.unstubAllEnvs());
    expect((await batch())?.through).toBe(3);
    expect(threadsWhenIdle()).toBe(idle);
  });

  test('is opened once it is there', async () => {
    await expect(outbox.start()).rejects.toMatchObject({ code: 'file-unreadable' });
    await expect(outbox.extent()).rejects.toMatchObject({ code: 'file-unreadable' });
    await journal.start();
    await outbox.start();
    expect(await outbox.extent()).toEqual({ last: 0, uploaded: { stored: 0, signed: 0 } });
    expect(await batch({ asks: true })).toBeUndefined();
  });
});
