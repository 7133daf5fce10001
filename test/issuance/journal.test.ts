import fc from 'fast-check';
import { CompiledQuery, createQueryId, type RootOperationNode } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { toHex } from '#core/bytes/bytes.ts';
import { digest } from '#core/crypto/digest.ts';
import { erasureBody } from '#core/journal/erasure.ts';
import type { JournalKind, JournalRecord } from '#core/journal/record.ts';
import { verifyJournal } from '#core/journal/verify.ts';
import type { JournalBatch } from '#core/sync/journal-batch.ts';
import { checkBatch } from '#issuance/journal/checked-batch.ts';
import { DeviceKeys } from '#issuance/journal/device-keys.ts';
import { type EntryCursor, JournalEntries } from '#issuance/journal/journal-entries.ts';
import { JournalStore } from '#issuance/journal/journal-store.ts';
import { StoredJournal } from '#issuance/journal/stored-journal.ts';
import { Databases, type JournalDatabase } from '#issuance/storage/databases.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { databaseRigs, type StartedRig } from './database-rigs.ts';
import { JournalDevice, startMs } from './journal-device.ts';

const city = { id: 'city', number: 1 };
const parts = { clock: new SimulatedClock({ utcMs: startMs }), entropy: new SystemEntropy() };
const bytes = (text: string) => new TextEncoder().encode(text);

describe.each(databaseRigs)('journals of terminals on $name', ({ start }) => {
  let rig: StartedRig;
  let databases: Databases;
  let db: JournalDatabase;
  let store: JournalStore;
  let stored: JournalEntries;
  let devices = 0;
  beforeAll(async () => {
    rig = await start();
    databases = new Databases({ source: rig.source() });
    db = await databases.journal(city);
    store = new JournalStore({ db, ...parts });
    stored = new JournalEntries({ db });
  });
  afterAll(async () => {
    await databases.stop();
    await rig.stop();
  });

  const newDevice = () => {
    devices += 1;
    return new JournalDevice(`gate-${devices}`);
  };
  const send = async (device: JournalDevice, ...batches: readonly JournalBatch[]) => {
    const result = await store.store(batches.map((batch) => checkBatch(batch, device.keys())));
    return {
      ...result,
      position: result.positions[0]?.position,
      signedThrough: result.positions[0]?.signedThrough,
    };
  };
  const kindsOf = async (device: JournalDevice) =>
    (await stored.alarms({ terminal: device.terminal }, { limit: 99 })).alarms
      .toReversed()
      .map((one) => [one.kind, one.fromSequence, one.toSequence]);
  const rawsOf = async ({ terminal }: JournalDevice) => {
    const raws: string[] = [];
    for await (const item of new StoredJournal({ db, terminal }).items())
      if (item.kind === 'entry') raws.push(toHex(item.raw));
    return raws;
  };
  const verified = (device: JournalDevice) =>
    verifyJournal(new StoredJournal({ db, terminal: device.terminal }).items(), {
      publicKeys: [device.key.spki],
      heads: [device.position()],
      personalIncluded: true,
      checkpointEveryEntries: 1_000,
    });
  const raws = (device: JournalDevice) => device.entries.map(({ raw }) => toHex(raw));

  it('stores what comes as it is, tells how far, and vouches for it', async () => {
    const device = newDevice().append(12);
    const first = await send(device, device.batch(1, 7, { checkpoints: [await device.checkpoint(5)] }));
    expect(first).toMatchObject({ entries: 7, alarms: [], position: device.position(7), signedThrough: 5 });
    const second = await send(device, device.batch(8, 12));
    expect(second).toMatchObject({ entries: 5, position: device.position(12), signedThrough: 5 });
    // a checkpoint is signed later than its entry is written
    const third = await send(device, device.batch(13, 12, { checkpoints: [await device.checkpoint(12)] }));
    expect(third).toMatchObject({ entries: 0, alarms: [], position: device.position(12), signedThrough: 12 });
    expect(await rawsOf(device)).toEqual(raws(device));
    expect(await verified(device)).toMatchObject({ sound: true, entries: 12, checkpoints: 2 });
  });

  it('stores each entry once, whatever comes again, too early, and to several processes at once', async () => {
    const other = new Databases({ source: rig.source() });
    const stores = [store, new JournalStore({ db: await other.journal(city), ...parts })];
    const delivery = fc.record({
      device: fc.nat(2),
      first: fc.integer({ min: 1, max: 30 }),
      count: fc.integer({ min: 1, max: 12 }),
    });
    const deliveries = fc.array(fc.array(delivery, { minLength: 1, maxLength: 5 }), { maxLength: 10 });
    await fc.assert(
      fc.asyncProperty(deliveries, async (commits) => {
        const own = [newDevice(), newDevice(), newDevice()].map((device) => device.append(30));
        let entries = 0;
        // terminals that are known already are those for which nobody waits by chance
        for (const device of own) entries += (await send(device, device.batch(1, 1))).entries;
        const taken = ({ device, first, count }: { device: number; first: number; count: number }) => {
          const from = own[device] as JournalDevice;
          return checkBatch(from.batch(first, Math.min(30, first + count - 1)), from.keys());
        };
        const results = await Promise.all(
          commits.map((commit, at) => stores[at % 2]?.store(commit.map(taken))),
        );
        for (const result of results) entries += result?.entries ?? 0;
        for (const device of own) {
          for (let at = 0; at < 30; ) {
            const result = await send(device, device.batch(at + 1, Math.min(30, at + 11)));
            entries += result.entries;
            at = result.position?.sequence ?? 0;
          }
          expect(await rawsOf(device)).toEqual(raws(device));
          expect(await verified(device)).toMatchObject({ sound: true });
          expect(await kindsOf(device)).toEqual([]);
        }
        expect(entries).toBe(90);
      }),
      { numRuns: 12 },
    );
    await other.stop();
  });

  it('stores all of a commit or nothing', async () => {
    const [good, bad] = [newDevice().append(3), newDevice().append(3)];
    let chains = 0;
    const failing = new JournalStore({
      db,
      clock: parts.clock,
      entropy: {
        bytes: (length) => {
          chains += 1;
          if (chains === 2) throw new Error('power cut');
          return parts.entropy.bytes(length);
        },
      },
    });
    const batches = [good, bad].map((device) => checkBatch(device.batch(), device.keys()));
    await expect(failing.store(batches)).rejects.toThrow('power cut');
    expect(await rawsOf(good)).toEqual([]);
    expect(await store.store(batches)).toMatchObject({ entries: 6, alarms: [] });
  });

  it('asks again for what is missing before what came', async () => {
    const device = newDevice().append(20);
    expect(await send(device, device.batch(5, 9))).toMatchObject({
      entries: 0,
      position: device.position(0),
    });
    await send(device, device.batch(1, 4));
    expect(await send(device, device.batch(8, 9))).toMatchObject({
      entries: 0,
      position: device.position(4),
    });
    expect(await send(device, device.batch(3, 9))).toMatchObject({
      entries: 5,
      position: device.position(9),
    });
    expect(await kindsOf(device)).toEqual([]);
  });

  it('goes on behind what the terminal has no more, and names what never came', async () => {
    const device = newDevice().append(20);
    await send(device, device.batch(1, 4));
    const later = await send(device, device.batch(9, 12, { oldestKept: 9 }));
    expect(later).toMatchObject({ entries: 4, position: device.position(12) });
    expect(await kindsOf(device)).toEqual([['entries-missing', 5, 8]]);
  });

  it('keeps what was stored when it comes again as something else, with the other beside it', async () => {
    const device = newDevice().append(10);
    await send(device, device.batch());
    const other = device.rewritten(7);
    const told = await send(other, other.batch(6, 10));
    expect(told.alarms).toEqual([
      {
        terminal: device.terminal,
        incarnation: device.incarnation,
        kind: 'entry-rewritten',
        fromSequence: 7,
        toSequence: 10,
      },
    ]);
    // told once
    expect((await send(other, other.batch(6, 10))).alarms).toEqual([]);
    expect(await rawsOf(device)).toEqual(raws(device));
    const evidence = await db.selectFrom('evidence').selectAll().orderBy('sequence').execute();
    expect(evidence.map((row) => toHex(row.raw))).toEqual(raws(other).slice(6));
  });

  it('follows a history that was rewritten to the entry where that began', async () => {
    const device = newDevice().append(900);
    await send(device, device.batch(1, 500), device.batch(501, 900));
    const other = device.rewritten(450).append(20);
    // the terminal goes on as if nothing had happened
    let at = 900;
    const asked: number[] = [];
    while (at < 920) {
      const told = await send(other, other.batch(at + 1, Math.min(920, at + 100)));
      at = told.position?.sequence ?? 0;
      asked.push(at);
    }
    // back to where it is as it was, then forward again
    expect(asked).toEqual([700, 500, 300, 400, 500, 600, 700, 800, 920]);
    expect(await kindsOf(device)).toContainEqual(['chain-broken', 900, 901]);
    const rewritten = (await kindsOf(device)).filter(([kind]) => kind === 'entry-rewritten');
    const named = rewritten.flatMap(([, from, to]) =>
      Array.from({ length: Number(to) - Number(from) + 1 }, (_, index) => Number(from) + index),
    );
    expect(named.sort((a, b) => a - b)).toEqual(Array.from({ length: 451 }, (_, index) => 450 + index));
    expect((await rawsOf(device)).slice(0, 900)).toEqual(raws(device));
  });

  it('keeps entries that are wrong, and says which', async () => {
    const device = newDevice().append(2);
    const damaged = bytes('{"format":1,"ha\xff');
    device.appendRaw(damaged, digest('sha-256', damaged)).append(1);
    const elsewhere = new JournalDevice(device.terminal, 'elsewhere').append(6);
    device.entries.push(elsewhere.entries[5] as (typeof device.entries)[0]);
    const told = await send(device, device.batch());
    expect(told).toMatchObject({ entries: 5, position: device.position() });
    expect(await kindsOf(device)).toEqual([
      ['entry-malformed', 3, 3],
      ['chain-broken', 4, 5],
      ['entry-misplaced', 5, 5],
    ]);
    expect(await rawsOf(device)).toEqual(raws(device));
  });

  it('keeps verbatim what it does not know, and what no column can hold', async () => {
    const strange: Partial<JournalRecord>[] = [
      { kind: 'telepathy' as JournalKind, body: { door: { of: 'perception' } } },
      { kind: 'a\0b' as JournalKind, body: { door: 'x'.repeat(1_000) }, tapId: '\0' },
      { atMs: 1e300, body: { door: 7 } },
      { atMs: 0.5, personal: { userNumber: 'a\0 "b"' } },
    ];
    const device = newDevice();
    for (const changes of strange) device.append(1, changes);
    expect(await send(device, device.batch())).toMatchObject({ entries: 4, alarms: [] });
    expect(await rawsOf(device)).toEqual(raws(device));
    const { entries } = await stored.page({ kind: 'telepathy' }, { limit: 9 });
    expect(entries.map(({ entry }) => entry?.body)).toEqual([{ door: { of: 'perception' } }]);
    expect(await verified(device)).toMatchObject({ sound: true });
  });

  it('keeps an erasure of what no incarnation is called, and erases nothing', async () => {
    const [device, bystander] = [newDevice(), newDevice().append(1)];
    device.append(1, { kind: 'terminal', body: erasureBody('\0', [[1, 1]], 1), personal: {} });
    await send(device, device.batch());
    expect(await kindsOf(device)).toEqual([['entry-malformed', 1, 1]]);
    expect(await rawsOf(device)).toEqual(raws(device));
    expect(await send(bystander, bystander.batch())).toMatchObject({ entries: 1 });
  });

  it('keeps personal values apart, and only those whose hash was recorded', async () => {
    const device = newDevice().append(3);
    const sent = device.batch();
    const [first, second] = sent.entries;
    const forged = { field: 'userNumber', salt: new Uint8Array(16), value: 'B2' };
    const entries = [
      ...(first ? [first] : []),
      { ...second, raw: second?.raw as Uint8Array, personal: [forged] },
    ];
    await send(device, { ...sent, entries });
    expect(await kindsOf(device)).toEqual([['personal-changed', 2, 2]]);
    const { entries: shown } = await stored.page({ terminal: device.terminal }, { limit: 9 });
    expect(shown.map(({ sequence, personal }) => [sequence, personal])).toEqual([
      [2, {}],
      [1, { userNumber: 'A1' }],
    ]);
  });

  it('erases personal values that the terminal has erased, for good', async () => {
    const [device, bystander] = [newDevice().append(5), newDevice().append(5)];
    await send(device, device.batch());
    await send(bystander, bystander.batch());
    const body = erasureBody(device.incarnation, [[2, 4]], 3);
    device.append(1, { kind: 'terminal', body, personal: {} });
    await send(device, device.batch(6, 6));
    // what was under way before comes again
    await send(device, device.batch(1, 5));
    const left = await stored.page({ terminal: device.terminal }, { limit: 9 });
    const kept = left.entries.filter(({ personal }) => personal.userNumber !== undefined);
    expect(kept.map(({ sequence }) => sequence)).toEqual([5, 1]);
    const others = await stored.page({ terminal: bystander.terminal }, { limit: 9 });
    expect(others.entries.every(({ personal }) => personal.userNumber !== undefined)).toBe(true);
    expect(await verified(device)).toMatchObject({ sound: true, erased: [{ ranges: [[2, 4]] }] });
  });

  it('believes checkpoints of the key the terminal was enrolled with, of the entries stored', async () => {
    const device = newDevice().append(6);
    const stranger = new JournalDevice(device.terminal, device.incarnation);
    stranger.entries = device.entries;
    const signature = new Uint8Array(64).fill(1);
    const checkpoints = [
      { raw: bytes('{}'), signature },
      await stranger.checkpoint(2),
      { ...(await device.checkpoint(3)), signature },
      await device.checkpoint(4, 'AB'.repeat(32)),
      await device.checkpoint(5),
    ];
    const told = await send(device, device.batch(1, 6, { checkpoints }));
    expect(told).toMatchObject({ entries: 6, signedThrough: 5 });
    expect(await kindsOf(device)).toEqual([
      ['checkpoint-key-unknown', 2, 2],
      ['checkpoint-signature-wrong', 3, 3],
      ['checkpoint-contradicts', 4, 4],
      ['checkpoint-malformed', 6, 6],
    ]);
    const proof = await db.selectFrom('evidence').selectAll().where('kind', '=', 'checkpoint').execute();
    expect(proof.map((row) => toHex(row.raw))).toEqual([toHex(checkpoints[3]?.raw as Uint8Array)]);
    // one that signs what is not here yet says nothing
    const early = device.batch(7, 6, { checkpoints: [await device.checkpoint(9, 'AB'.repeat(32))] });
    expect(await send(device, early)).toMatchObject({ alarms: [], signedThrough: 5 });
  });

  it('knows the keys of every device that was enrolled as the terminal', async () => {
    const permissions = await databases.permissions(city);
    const [first, second, other] = [newDevice(), newDevice(), newDevice()];
    for (const [serial, terminal, device] of [
      ['1', 'lobby', first],
      ['2', 'lobby', second],
      ['3', 'lobby', second],
      ['4', 'side', other],
    ] as const) {
      await permissions
        .insertInto('certificates')
        .values({
          serial_number: serial,
          terminal_id: terminal,
          key_id: serial,
          device_key: device.key.spki,
          certificate: new Uint8Array(),
          not_before_ms: 0,
          not_after_ms: 1,
          revoked_at_ms: serial === '1' ? 1 : null,
          reason: null,
        })
        .execute();
    }
    const known = new DeviceKeys();
    const idsOf = async (terminal: string) => [...(await known.of(permissions, terminal)).keys()].sort();
    expect(await idsOf('lobby')).toEqual([first.key.keyId(), second.key.keyId()].sort());
    expect(await idsOf('side')).toEqual([other.key.keyId()]);
    expect(await idsOf('lobby')).toHaveLength(2);
  });

  it('begins a new incarnation once the one before is complete, and tells of one that comes back', async () => {
    const device = newDevice().append(4);
    const next = new JournalDevice(device.terminal, 'restored', device.key).append(2);
    const begin = next.batch(1, 2, { after: { ...device.position(), oldestKept: 1 } });
    expect(await send(next, begin)).toMatchObject({ entries: 0, position: device.position(0) });
    await send(device, device.batch(1, 2));
    expect(await send(next, begin)).toMatchObject({ entries: 0, position: device.position(2) });
    await send(device, device.batch(3, 4));
    expect(await send(next, begin)).toMatchObject({ entries: 2, position: next.position() });
    // late, and known
    expect((await send(device, device.batch(3, 4))).alarms).toEqual([]);
    device.append(2);
    await send(device, device.batch(5, 5));
    await send(device, device.batch(6, 6));
    expect(await kindsOf(device)).toEqual([['incarnation-returned', 5, 5]]);
    expect(await rawsOf(device)).toHaveLength(8);
  });

  it.each([0, 2])(
    'goes on where of the incarnation before %i entries are here and the terminal has none',
    async (here) => {
      const device = newDevice().append(4);
      if (here > 0) await send(device, device.batch(1, here));
      const next = new JournalDevice(device.terminal, 'after-loss', device.key).append(2);
      const begin = next.batch(1, 2, { after: { ...device.position(), oldestKept: 5 } });
      const told = await send(next, begin);
      expect(told).toMatchObject({ entries: 2, position: next.position() });
      expect(told.alarms).toEqual([
        {
          terminal: device.terminal,
          incarnation: device.incarnation,
          kind: 'entries-missing',
          fromSequence: here + 1,
          toSequence: 4,
        },
      ]);
      expect((await send(next, begin)).alarms).toEqual([]);
    },
  );

  it('waits for what the terminal still has of the incarnation before', async () => {
    const device = newDevice().append(4);
    const next = new JournalDevice(device.terminal, 'after-forgetting', device.key).append(1);
    const begin = next.batch(1, 1, { after: { ...device.position(), oldestKept: 3 } });
    expect(await send(next, begin)).toMatchObject({ entries: 0, position: device.position(0) });
    await send(device, device.batch(3, 4, { oldestKept: 3 }));
    expect(await send(next, begin)).toMatchObject({ entries: 1, position: next.position() });
    expect(await kindsOf(device)).toEqual([['entries-missing', 1, 2]]);
  });

  it('takes of a batch that erases very much only what one commit bears', async () => {
    const device = newDevice().append(3);
    // out of order, overlapping, and beyond everything there is
    const ranges = (from: number): [number, number][] =>
      Array.from({ length: 600 }, (_, at) => [from + 2 * (600 - at), 1_000_000_000 * (at % 2)]);
    const erases = (from: number) => ({
      kind: 'terminal' as const,
      body: erasureBody(device.incarnation, ranges(from), 1),
      personal: {},
    });
    device.append(1, erases(1)).append(1, erases(0)).append(1);
    expect(await send(device, device.batch())).toMatchObject({ entries: 4, position: device.position(4) });
    expect(await send(device, device.batch(5))).toMatchObject({ entries: 2, position: device.position() });
    expect(await kindsOf(device)).toEqual([]);
    expect(await verified(device)).toMatchObject({ sound: true });
  });

  it('erases nothing for an entry of more ranges than any terminal writes, and tells of it', async () => {
    const device = newDevice().append(2);
    const ranges = Array.from({ length: 1_001 }, () => [1, 2] as const);
    device.append(1, { kind: 'terminal', body: erasureBody(device.incarnation, ranges, 2), personal: {} });
    await send(device, device.batch());
    expect(await kindsOf(device)).toEqual([['entry-malformed', 3, 3]]);
    const { entries } = await stored.page({ terminal: device.terminal }, { limit: 9 });
    expect(entries.map(({ personal }) => personal.userNumber)).toEqual([undefined, 'A2', 'A1']);
  });

  it('keeps an entry that is too long as it came, and reads nothing in it', async () => {
    const device = newDevice()
      .append(1)
      .append(1, { body: { door: 'x'.repeat(65_536) }, personal: {} })
      .append(1);
    expect(await send(device, device.batch())).toMatchObject({ entries: 3 });
    expect(await kindsOf(device)).toEqual([['entry-malformed', 2, 2]]);
    expect(await rawsOf(device)).toEqual(raws(device));
  });

  it('notices that the end of the incarnation before was rewritten', async () => {
    const device = newDevice().append(4);
    await send(device, device.batch());
    const next = new JournalDevice(device.terminal, 'next', device.key).append(1);
    const told = await send(
      next,
      next.batch(1, 1, {
        after: { ...device.rewritten(4).position(), oldestKept: 1 },
      }),
    );
    expect(told).toMatchObject({ entries: 1, position: next.position() });
    expect(told.alarms).toEqual([
      expect.objectContaining({
        incarnation: device.incarnation,
        kind: 'entry-rewritten',
        fromSequence: 4,
        toSequence: 4,
      }),
    ]);
  });

  it('lists entries newest first, page by page, by what they are', async () => {
    const device = newDevice().append(25);
    await send(device, device.batch());
    const own = { terminal: device.terminal };
    const seen: number[] = [];
    let before: EntryCursor | undefined;
    do {
      const page = await stored.page(own, { limit: 10, ...(before && { before }) });
      seen.push(...page.entries.map(({ sequence }) => sequence));
      before = page.next;
    } while (before);
    expect(seen).toEqual(Array.from({ length: 25 }, (_, index) => 25 - index));
    const numbers = async (filter: object) =>
      (await stored.page({ ...own, ...filter }, { limit: 100 })).entries.map(({ sequence }) => sequence);
    expect(await numbers({ door: 'south', fromMs: startMs + 20_000 })).toEqual([24, 22, 20]);
    expect(await numbers({ tapId: '7'.padStart(32, '0') })).toEqual([7]);
    expect(await numbers({ kind: 'door' })).toEqual([]);
    expect(await numbers({ untilMs: startMs + 3_000 })).toEqual([2, 1]);
  });

  it('finds entries of a seldom kind by an index of these alone', async () => {
    const device = newDevice().append(3).append(1, { kind: 'alarm' }).append(1, { kind: 'timing' }).append(2);
    await send(device, device.batch());
    const asked: RootOperationNode[] = [];
    const watched = db.withPlugin({
      transformQuery: ({ node }) => {
        asked.push(node);
        return node;
      },
      transformResult: async ({ result }) => result,
    });
    for (const [kind, sequences] of [
      ['alarm', [4]],
      ['timing', [5]],
      ['decision', [7, 6, 3, 2, 1]],
      ['unheard-of', []],
    ] as const) {
      asked.length = 0;
      const own = { terminal: device.terminal, kind };
      const { entries } = await new JournalEntries({ db: watched }).page(own, { limit: 9 });
      expect(entries.map(({ sequence }) => sequence)).toEqual(sequences);
      if (rig.cluster || kind === 'decision') continue;
      const [query] = asked.map((node) => db.getExecutor().compileQuery(node, createQueryId()));
      const plan = CompiledQuery.raw(`explain query plan ${query?.sql}`, [...(query?.parameters ?? [])]);
      const { rows } = await db.executeQuery<{ detail: string }>(plan);
      expect(rows.map(({ detail }) => detail).join()).toContain('entries_by_kind');
    }
  });
});
