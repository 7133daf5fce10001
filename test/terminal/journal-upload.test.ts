import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { toHex } from '#core/bytes/bytes.ts';
import { digest } from '#core/crypto/digest.ts';
import { encodeAcknowledgement, type JournalAcknowledgement } from '#core/sync/journal-acknowledgement.ts';
import { type ChainPosition, decodeJournalBatch, type JournalBatch } from '#core/sync/journal-batch.ts';
import type { Intake } from '#ports/intake.ts';
import { SimulatedBroker } from '#simulators/broker/simulated-broker.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { UploadingDevice } from './uploading-device.ts';

let clock: SimulatedClock;
let broker: SimulatedBroker;
let intake: Intake;
let device: UploadingDevice;
let batches: JournalBatch[];

beforeEach(async () => {
  clock = new SimulatedClock({ utcMs: 1_775_000_000_000 });
  broker = new SimulatedBroker();
  intake = broker.intake();
  batches = [];
  device = new UploadingDevice({ terminal: 'gate', clock });
  await intake.start({
    consume: async (messages) => {
      for (const { payload, from } of messages) {
        const read = decodeJournalBatch(payload, from);
        if (read.kind === 'accepted') batches.push(read.value);
      }
    },
    changed: () => undefined,
  });
});
afterEach(async () => {
  await device.stop();
  device.remove();
  await intake.stop();
});

const settled = async () => {
  for (let i = 0; i < 5; i += 1) await setImmediate();
};
const pass = (ms: number) => clock.advanceAsync(ms, settled);
const start = (terminal?: string) => device.start(broker.bus(device.identity), terminal);
/** What was sent since it was asked last: numbers of entries, from the first to the last. */
const sent = () =>
  batches.splice(0).map(({ first, entries }) => [first, first + entries.length - 1] as const);

async function acknowledge(sequence: number, changes: Partial<JournalAcknowledgement> = {}) {
  const incarnation = changes.position?.incarnation ?? device.head()?.incarnation ?? '';
  const hash = device.hashes()[sequence - 1] ?? '0'.repeat(64);
  const acknowledgement = {
    ...device.identity,
    position: { incarnation, sequence, hash },
    signedThrough: 0,
    credit: 4,
    returnAfterMs: 0,
    ...changes,
  };
  await intake.publish({ to: device.identity, kind: 'ack', payload: encodeAcknowledgement(acknowledgement) });
  await settled();
  // until the next batch may go
  await pass(50);
}
const position = (sequence: number, changes: Partial<ChainPosition> = {}): ChainPosition => ({
  incarnation: device.head()?.incarnation ?? '',
  sequence,
  hash: device.hashes()[sequence - 1] ?? '0'.repeat(64),
  ...changes,
});

describe('the upload of a journal', () => {
  it('sends one batch until it knows how much the server takes, and then that much', async () => {
    await start();
    device.append(2_000);
    await pass(2_000);
    expect(sent()).toEqual([[1, 200]]);
    await acknowledge(200, { credit: 3 });
    await pass(100);
    expect(sent()).toEqual([
      [201, 400],
      [401, 600],
      [601, 800],
    ]);
    await acknowledge(400, { credit: 3 });
    expect(sent()).toEqual([[801, 1_000]]);
    await acknowledge(600, { credit: 1 });
    expect(sent()).toEqual([]);
  });

  it('writes down what is stored now and then while more is under way, and at its end', async () => {
    await start();
    device.append(2_900);
    await pass(2_000);
    const written: number[] = [];
    for (let at = 200; at < 3_000; at += 200) {
      await acknowledge(Math.min(at, 2_900), { credit: 2 });
      written.push(device.extent().uploaded.stored);
    }
    // the last is under way, and nothing is left to be sent
    expect([...new Set(written)]).toEqual([0, 2_000, 2_800]);
    await acknowledge(2_900);
    expect(device.extent().uploaded.stored).toBe(2_900);
  });

  it('leaves a server alone for as long as that says', async () => {
    await start();
    device.append(400);
    await pass(2_000);
    sent();
    await acknowledge(200, { returnAfterMs: 40_000 });
    await pass(39_000);
    expect(sent()).toEqual([]);
    await pass(2_000);
    expect(sent()).toEqual([[201, 400]]);
  });

  it('sends what comes, together with what comes with it, and then its signature', async () => {
    await start();
    await pass(2_000);
    device.append(1);
    await pass(100);
    device.append(2);
    await pass(200);
    expect(sent()).toEqual([[1, 3]]);
    await acknowledge(3);
    await device.sign();
    await pass(300);
    expect(batches).toMatchObject([{ first: 4, entries: [], checkpoints: [{}] }]);
    await acknowledge(3, { signedThrough: 3 });
    await pass(120_000);
    expect(batches).toHaveLength(1);
    expect(device.extent()).toEqual({ last: 3, uploaded: { stored: 3, signed: 3 } });
  });

  it('sends again, one batch at a time and ever more seldom, what nobody answers', async () => {
    await start();
    device.append(300);
    await pass(1_000);
    await acknowledge(100, { credit: 4 });
    sent();
    const counts: number[] = [];
    for (let minute = 0; minute < 10; minute += 1) {
      await pass(60_000);
      const all = sent();
      counts.push(all.length);
      for (const one of all) expect(one).toEqual([101, 300]);
    }
    expect(counts[0]).toBeLessThanOrEqual(2);
    expect(counts[9]).toBe(1);
    await acknowledge(300);
    await pass(120_000);
    expect(sent()).toEqual([]);
  });

  it('begins behind what is known to be stored at each connection and each start, and asks the server', async () => {
    await start();
    device.append(300);
    await pass(1_000);
    await acknowledge(200);
    expect(sent()).toEqual([
      [1, 200],
      [201, 300],
    ]);
    broker.cut(device.identity);
    await pass(2_000);
    expect(sent()).toEqual([[201, 300]]);
    await device.die();
    await start();
    await pass(2_000);
    // while more was under way the disk was not told what is stored
    expect(sent()).toEqual([[1, 200]]);
    await acknowledge(300);
    await device.die();
    await start();
    await pass(2_000);
    // nothing to send: the server is asked how far it is
    expect(sent()).toEqual([[301, 300]]);
  });

  it('sends again from where a server says that was restored, and once for the same word said again', async () => {
    await start();
    device.append(700);
    await pass(1_000);
    for (const at of [200, 400, 600, 700]) await acknowledge(at, { signedThrough: at });
    sent();
    await acknowledge(150, { signedThrough: 100, credit: 1 });
    expect(sent()).toEqual([[151, 350]]);
    expect(device.extent().uploaded).toEqual({ stored: 150, signed: 100 });
    for (let again = 0; again < 5; again += 1) await acknowledge(150, { signedThrough: 100, credit: 1 });
    expect(sent()).toEqual([]);
    await acknowledge(350);
    expect(sent()).toEqual([
      [351, 550],
      [551, 700],
    ]);
    expect(device.noted).toEqual([]);
  });

  it('goes on within a batch of which the server took a part', async () => {
    await start();
    device.append(150);
    await pass(1_000);
    sent();
    await acknowledge(40);
    expect(sent()).toEqual([[41, 150]]);
  });

  it('goes on behind what the server has, where it did not know that any more', async () => {
    await start();
    device.append(900);
    await pass(1_000);
    sent();
    await acknowledge(700);
    expect(sent()).toEqual([[701, 900]]);
  });

  it('sends the incarnations one after another, each with how the one before it ended', async () => {
    await start('before');
    device.append(250);
    const incarnation = device.head()?.incarnation ?? '';
    await device.die();
    await start();
    device.append(10);
    await pass(1_000);
    await acknowledge(200, { position: position(200, { incarnation }) });
    await acknowledge(250, { position: position(250, { incarnation }) });
    expect(batches.map(({ first, after, oldestKept }) => ({ first, after, oldestKept }))).toEqual([
      { first: 1, after: null, oldestKept: 1 },
      { first: 201, after: null, oldestKept: 1 },
      {
        first: 1,
        after: { incarnation, sequence: 250, hash: position(250).hash, oldestKept: 1 },
        oldestKept: 1,
      },
    ]);
    // the server has lost the end of the first one
    sent();
    await acknowledge(0, { position: position(240, { incarnation }) });
    await pass(50);
    expect(batches).toMatchObject([{ incarnation, first: 241 }, { first: 1 }]);
  });

  it('says what a server lacks that is gone here, once, and sends what is left', async () => {
    await start('before');
    device.append(20);
    const incarnation = device.head()?.incarnation ?? '';
    await device.die();
    await start();
    device.append(100);
    await pass(1_000);
    await acknowledge(20, { position: position(20, { incarnation }) });
    await acknowledge(100, { position: position(120, { sequence: 100 }) });
    device.forget(20);
    device.forget(50);
    sent();
    for (let again = 0; again < 2; again += 1)
      await acknowledge(5, { position: position(5, { sequence: 5 }) });
    expect(batches).toMatchObject([{ first: 31, oldestKept: 31, after: null }]);
    expect(batches[0]?.entries).toHaveLength(70);
    expect(device.noted).toEqual([
      { alarm: 'journal-gap', on: true, incarnation: device.head()?.incarnation, from: 6, through: 30 },
    ]);
  });

  it('tells where an incarnation ended of which nothing is left', async () => {
    await start('before');
    device.append(20);
    const before = position(20);
    await device.die();
    await start();
    device.append(10);
    device.forget(20);
    await pass(1_000);
    expect(batches).toMatchObject([{ first: 1, after: { ...before, oldestKept: 21 } }]);
  });

  it('sends a server with another history all of its own, and says so', async () => {
    await start();
    device.append(30);
    await pass(1_000);
    sent();
    await acknowledge(90, { position: position(90) });
    expect(device.extent().uploaded.stored).toBe(30);
    expect(device.noted).toMatchObject([{ alarm: 'journal-contradicted', sequence: 90 }]);
    device.append(10);
    await pass(300);
    expect(sent()).toEqual([[31, 40]]);
    // it is asked to compare from further back
    await acknowledge(12, { position: position(12, { hash: 'F'.repeat(64) }) });
    expect(sent()).toEqual([[13, 40]]);
    expect(device.noted).toHaveLength(1);
  });

  it('says that it is refused, sends less, and says when it is taken again', async () => {
    await start();
    device.append(300);
    await pass(1_000);
    expect(sent()).toEqual([[1, 200]]);
    const refused = { ...device.identity, signedThrough: 0, credit: 1, returnAfterMs: 5_000 };
    const refuse = async () => {
      const payload = encodeAcknowledgement({ ...refused, refused: 'malformed' });
      await intake.publish({ to: device.identity, kind: 'ack', payload });
      await pass(10_000);
    };
    await refuse();
    expect(sent()).toEqual([[1, 50]]);
    await refuse();
    expect(sent()).toEqual([[1, 12]]);
    expect(device.noted).toEqual([{ alarm: 'journal-refused', on: true, reason: 'malformed' }]);
    await acknowledge(12);
    await pass(10_000);
    expect(sent()[0]).toEqual([13, 212]);
    expect(device.noted[1]).toEqual({ alarm: 'journal-refused', on: false });
  });

  it('takes nothing for its own that is for another, or nothing at all', async () => {
    await start();
    device.append(100);
    await pass(1_000);
    sent();
    const elsewhere = { ...device.identity, terminal: 'side' };
    const other = { ...elsewhere, position: position(100), signedThrough: 0, credit: 4, returnAfterMs: 0 };
    for (const payload of [encodeAcknowledgement(other), new Uint8Array(3)]) {
      await intake.publish({ to: device.identity, kind: 'ack', payload });
    }
    await acknowledge(100, { position: position(100, { incarnation: 'unknown' }) });
    expect(device.extent().uploaded.stored).toBe(0);
    expect(sent()).toEqual([]);
  });

  it('waits while somebody stands at a reader', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    device.pause = () => promise;
    await start();
    device.append(100);
    await pass(60_000);
    expect(sent()).toEqual([]);
    resolve();
    await settled();
    expect(sent()).toEqual([[1, 100]]);
  });

  it('makes batches no larger than a message may be, whatever is in the entries', async () => {
    await start();
    const noise = (at: number) => toHex(digest('sha-256', new Uint8Array([at, at >> 8])));
    for (let i = 0; i < 100; i += 1) {
      const text = Array.from({ length: 120 }, (_, part) => noise(i * 120 + part)).join('');
      device.append(1, { body: { text } });
    }
    device.append(1, { personal: { userNumber: 'x'.repeat(5_000) } });
    for (let at = 0; at < 101; ) {
      await pass(2_000);
      const all = sent();
      expect(all.length).toBeGreaterThan(0);
      at = all.at(-1)?.[1] ?? 0;
      await acknowledge(at, { credit: 1 });
    }
  });
});
