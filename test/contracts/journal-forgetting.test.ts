import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openDeviceKey } from '#adapters/keyfile/signing.ts';
import { erasePersonalValues } from '#adapters/sqlite/journal-erasure.ts';
import { JournalReader } from '#adapters/sqlite/journal-reader.ts';
import { JournalStore } from '#adapters/sqlite/journal-store.ts';
import { forgettingBody } from '#core/journal/forgetting.ts';
import type { JournalHead, JournalRecord } from '#core/journal/record.ts';
import { verifyJournal } from '#core/journal/verify.ts';
import type { ForgettingPlan } from '#ports/journal-keeping.ts';
import type { Signing } from '#ports/signing.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';

const startMs = Date.parse('2026-04-01T00:00:00Z');
const dayMs = 86_400_000;
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

async function started(terminal = 'gate'): Promise<JournalStore> {
  const made = new JournalStore({ file, terminal, signing, clock, reserveMiB: 8 });
  opened.push(made);
  await made.start();
  return made;
}

const record = (index: number, atMs = startMs + index * 60_000): JournalRecord => ({
  kind: 'decision',
  atMs,
  monotonicUs: index,
  bootId: 'boot',
  clock: 'trusted',
  body: { door: 'north', index },
  personal: { userNumber: `PERSONAL-${index}-` },
});
const records = (from: number, count: number) => Array.from({ length: count }, (_, at) => record(from + at));

/** `count` entries, one a minute, signed through the last. */
async function grown(journal: JournalStore, count: number, from = 1): Promise<JournalHead> {
  for (let at = 0; at < count; at += 500) await journal.append(records(from + at, Math.min(500, count - at)));
  return journal.append([record(from + count)]);
}

const plan = (journal: JournalStore, changes: { olderThanMs?: number; most?: number } = {}) =>
  journal.planForgetting({ most: 100_000, nowMs: startMs + 100 * dayMs, ...changes });

async function forget(journal: JournalStore, planned: ForgettingPlan | undefined): Promise<number> {
  if (!planned) throw new Error('nothing to forget');
  const { personal: _, ...rest } = record(9);
  await journal.append([{ ...rest, kind: 'terminal', body: forgettingBody(planned.head, 'retention') }]);
  for (let steps = 1; ; steps += 1) if (await journal.forgetSome(planned.through)) return steps;
}

async function read<T>(use: (reader: JournalReader) => Promise<T>): Promise<T> {
  const reader = new JournalReader({ file });
  await reader.start();
  return use(reader).finally(() => reader.stop());
}

const verified = () =>
  read((reader) =>
    verifyJournal(reader.items(), {
      publicKeys: [signing.publicKey()],
      heads: [],
      personalIncluded: true,
      checkpointEveryEntries: 1_000,
    }),
  );

describe('a journal that lets go of entries', () => {
  test('lets go of none that the server has not stored, or of which it has no signature', async () => {
    const journal = await started();
    await grown(journal, 3_000);
    expect(await plan(journal)).toBeUndefined();
    for (const [stored, signed] of [
      [0, 3_000],
      [3_000, 0],
    ] as const) {
      await journal.uploaded({ stored, signed });
      expect(await plan(journal)).toBeUndefined();
    }
    await journal.uploaded({ stored: 1_200, signed: 700 });
    expect(await plan(journal)).toMatchObject({ through: 700, count: 700, head: { sequence: 700 } });
    // the server was restored, and has less
    await journal.uploaded({ stored: 50, signed: 10 });
    expect(await plan(journal)).toMatchObject({ through: 10 });
  });

  test('keeps the newest, and of the others those that are young', async () => {
    const journal = await started();
    await grown(journal, 2_000);
    await journal.uploaded({ stored: 2_001, signed: 2_001 });
    expect(await plan(journal)).toMatchObject({ through: 1_001 });
    expect(await plan(journal, { most: 10 })).toMatchObject({ through: 10 });
    expect(await plan(journal, { olderThanMs: startMs })).toBeUndefined();
    expect(await plan(journal, { olderThanMs: startMs + 300 * 60_000 })).toMatchObject({ through: 299 });
  });

  test('goes by the order of entries where the clock was wrong', async () => {
    const journal = await started();
    await journal.append(records(1, 10));
    await journal.append([record(11, startMs + 4_000 * dayMs), record(12, 0), record(13, startMs)]);
    await grown(journal, 2_000, 14);
    await journal.uploaded({ stored: 1_500, signed: 1_500 });
    expect(await plan(journal, { olderThanMs: startMs + 5 * 60_000 })).toMatchObject({ through: 4 });
    expect(await plan(journal, { olderThanMs: startMs + 20 * 60_000 })).toMatchObject({ through: 19 });
  });

  test('stays whole: its chain, its lists, its facts, what comes after, and over restarts', async () => {
    const journal = await started();
    await journal.append([{ ...record(0), changes: [{ key: 'kept', value: 'fact' }] }]);
    await grown(journal, 2_499);
    await journal.uploaded({ stored: 2_000, signed: 2_000 });
    expect(await forget(journal, await plan(journal))).toBe(16);
    const head = await journal.append([record(1)]);
    expect(head.sequence).toBe(2_503);
    expect(await plan(journal)).toMatchObject({ through: 1_503 });
    expect(await verified()).toMatchObject({
      sound: true,
      chains: [{ forgottenThrough: 1_501, lastSequence: 2_503 }],
    });
    await read(async (reader) => {
      expect(await reader.list({ limit: 2, fromSequence: 1 })).toMatchObject([
        { entry: { sequence: 1_502 } },
        { entry: { sequence: 1_503 } },
      ]);
      expect(await reader.head()).toMatchObject({ sequence: 2_503 });
    });
    await journal.stop();
    const again = await started();
    expect(await again.sharedFacts()).toEqual(new Map([['kept', 'fact']]));
    expect((await again.append([record(2)])).incarnation).toBe(head.incarnation);
    expect(await again.space()).toMatchObject({ entries: 1_003 });
    expect(await verified()).toMatchObject({ sound: true });
  });

  test('is known to be an older copy by what it has let go of since', async () => {
    const journal = await started();
    const { incarnation } = await grown(journal, 2_499);
    await journal.stop();
    const copy = `${file}.copy`;
    copyFileSync(file, copy);
    const next = await started();
    await next.uploaded({ stored: 2_500, signed: 2_500 });
    await forget(next, await plan(next));
    await next.stop();
    copyFileSync(copy, file);
    const restored = await started();
    expect((await restored.append([record(1)])).incarnation).not.toBe(incarnation);
    // the server has the journal from before: what it goes on with begins anew, and is uploaded from there
    await restored.uploaded({ stored: 2_500, signed: 2_500 });
    expect(await plan(restored)).toMatchObject({ through: 1_502, head: { incarnation } });
  });

  test('goes on where what the device remembers of it was let go of', async () => {
    const journal = await started();
    const { incarnation } = await grown(journal, 99);
    await journal.stop();
    const remembered = readFileSync(`${file}.head`);
    const next = await started();
    await grown(next, 2_400);
    await next.uploaded({ stored: 2_500, signed: 2_500 });
    await forget(next, await plan(next, { most: 100 }));
    await next.stop();
    for (const more of [0, 100]) {
      writeFileSync(`${file}.head`, remembered);
      const again = await started();
      expect((await again.append([record(1)])).incarnation).toBe(incarnation);
      if (more > 0) await forget(again, await plan(again, { most: more }));
      await again.stop();
    }
  });

  test('ends an incarnation before it begins with the next, and knows where each ended', async () => {
    const journal = await started('before');
    await grown(journal, 19);
    await journal.stop();
    const next = await started('gate');
    await grown(next, 2_000);
    await next.uploaded({ stored: 2_000, signed: 2_000 });
    const first = await plan(next);
    expect(first).toMatchObject({ through: 20, head: { sequence: 20 } });
    await forget(next, first);
    expect(await verified()).toMatchObject({ sound: true });
    const second = await plan(next, { most: 30 });
    expect(second).toMatchObject({ through: 50, head: { sequence: 30 } });
    await forget(next, second);
    expect(await verified()).toMatchObject({ sound: true, chains: [{ forgottenThrough: 30 }] });
  });

  test('leaves nothing that was personal in its files, and erases what is left as ever', async () => {
    const journal = await started();
    await grown(journal, 2_000);
    await journal.uploaded({ stored: 2_000, signed: 2_000 });
    await forget(journal, await plan(journal, { most: 150 }));
    await journal.stop();
    const bytes = readFileSync(file);
    expect(bytes.includes('PERSONAL-150-')).toBe(false);
    expect(bytes.includes('PERSONAL-151-')).toBe(true);
    const selection = { beforeMs: startMs + 160 * 60_000 };
    const result = await erasePersonalValues({ file, selection, clock, confirm: async () => true });
    expect(result).toMatchObject({ values: 9, erased: true });
    expect(await verified()).toMatchObject({ sound: true, erased: [{ ranges: [[151, 159]] }] });
  });

  test('counts what may be let go of as space, once it may', async () => {
    const journal = await started();
    await grown(journal, 3_000);
    const before = await journal.space();
    await journal.uploaded({ stored: 3_001, signed: 3_001 });
    expect((await journal.space()).daysLeft).toBe(before.daysLeft);
    journal.allowForgetting();
    expect((await journal.space()).daysLeft).toBeGreaterThan(before.daysLeft ?? 0);
    await forget(journal, await plan(journal));
    const after = await journal.space();
    expect(after.usedBytes).toBeLessThan(before.usedBytes * 0.6);
    expect(after.entries).toBe(1_001);
  });
});
