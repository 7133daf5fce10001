import { afterEach, describe, expect, test } from 'vitest';
import type { Reading } from '#core/card/reading.ts';
import { TimingWatch } from '#terminal/timing-watch.ts';
import { doorRules } from '../policy-slices.ts';
import { Bench, reading } from './terminal-fixture.ts';

const rules = { factor: 8, limitUs: 1_000_000 };
let bench: Bench;
afterEach(() => bench.terminal.stop());

async function start(mode: 'observe' | 'deny' | 'off'): Promise<Bench> {
  bench = new Bench(mode === 'off' ? {} : { timing: { ...rules, mode } });
  await bench.terminal.start();
  return bench;
}

const took = (us: number, card: number, changes: Partial<Reading> = {}) => ({
  kind: 'reading' as const,
  reading: {
    ...reading,
    userNumber: `A${String(card).padStart(9, '0')}`,
    diversifier: String(card).padStart(20, '0'),
    timings: { ...reading.timings, authenticateCardUs: us },
    ...changes,
  },
});

/** Sixty cards of ordinary speed, all of them let in. */
async function learn(): Promise<void> {
  for (let card = 1; card <= 60; card += 1) {
    bench.permit(`A${String(card).padStart(9, '0')}`);
    await bench.tap(took(80_000 + (card % 3) * 500, card));
  }
  await bench.clock.advanceAsync(10_000);
  bench.journal.records.length = 0;
  bench.shown.length = 0;
}

const timings = () => bench.journal.records.filter(({ kind }) => kind === 'timing').map(({ body }) => body);

test('observed, a slow authentication is let in and has an entry of its own', async () => {
  await start('observe');
  await learn();
  await bench.tap(took(200_000, 7));
  expect(bench.decisions()).toMatchObject([{ result: 'granted' }]);
  expect(timings()).toEqual([
    {
      event: 'unusual',
      door: 'door-1',
      reader: 'r1',
      profile: 'type-a',
      answeredUs: 200_000,
      against: 'reader',
      medianUs: 80_500,
      spreadUs: 3_000,
      limitUs: 104_500,
      refused: false,
      limitRaised: false,
      cardSettled: false,
    },
  ]);
});

test('denied, it is refused with a reason of its own, the door stays locked, and the holder holds again', async () => {
  await start('deny');
  await learn();
  await bench.tap(took(200_000, 7));
  expect(bench.decisions()).toMatchObject([
    { result: 'denied', reason: 'timing-unusual', basis: { policyVersion: 3 } },
  ]);
  expect(timings()).toMatchObject([{ refused: true }]);
  expect(bench.locked()).toBe(true);
  expect(bench.shown.at(-1)).toBe('hold-again');
  await bench.tap(took(80_000, 7));
  expect(bench.decisions().at(-1)).toMatchObject({ result: 'granted' });
});

test('observed, a time is judged when the decision is durable and the strike has moved', async () => {
  await start('observe');
  await learn();
  await bench.tap(took(200_000, 7));
  expect(bench.journal.records.map(({ kind }) => kind).slice(0, 3)).toEqual([
    'decision',
    'actuation',
    'timing',
  ]);
});

test('a third slow card says that the cards have changed: it comes in, and the rise of the limit is journalled', async () => {
  await start('deny');
  await learn();
  for (const card of [7, 8, 9, 10]) await bench.tap(took(200_000, card));
  expect(bench.decisions().map(({ result }) => result)).toEqual(['denied', 'denied', 'granted', 'granted']);
  expect(timings()).toMatchObject([
    { refused: true, limitRaised: false },
    { refused: true, limitRaised: false },
    { refused: false, limitRaised: true },
  ]);
});

test('a card that has become slower for good comes in on the third day, which its entry says', async () => {
  await start('deny');
  await learn();
  for (let tap = 0; tap < 2; tap += 1) await bench.tap(took(80_000, 7));
  bench.journal.records.length = 0;
  for (let day = 0; day < 4; day += 1) {
    await bench.tap(took(140_000 + day * 1_000, 7));
    await bench.tap(took(80_000, 8));
    await bench.clock.advanceAsync(24 * 3_600_000);
  }
  const ofCard = bench.decisions().filter((_, index) => index % 2 === 0);
  expect(ofCard.map(({ result }) => result)).toEqual(['denied', 'denied', 'granted', 'granted']);
  expect(timings()).toMatchObject([
    { refused: true, cardSettled: false },
    { refused: true, cardSettled: false },
    { refused: false, cardSettled: true },
  ]);
});

test('a card known at the reader is held against its own times', async () => {
  await start('deny');
  await learn();
  for (let tap = 0; tap < 2; tap += 1) await bench.tap(took(60_000, 7));
  await bench.tap(took(95_000, 7));
  expect(bench.decisions().at(-1)).toMatchObject({ reason: 'timing-unusual' });
  expect(timings()).toMatchObject([{ against: 'card', medianUs: 60_000, limitUs: 84_000 }]);
});

test('a denial of the policy keeps its reason, and no PIN is asked for on a slow card', async () => {
  await start('deny');
  await learn();
  bench.permit('A000000099', { holder: { holderId: 'h', status: 'active', groups: [] } });
  await bench.tap(took(200_000, 99));
  expect(bench.decisions()).toMatchObject([{ result: 'denied', reason: 'no-permission' }]);
  bench.permit('A000000005', { rules: doorRules({ id: 'door-1', assurance: ['pin'] }) });
  await bench.tap(took(200_000, 5));
  expect(bench.pinPad.asking()).toBe(false);
  expect(bench.decisions().at(-1)).toMatchObject({ reason: 'timing-unusual' });
});

test('entries of unusual times hold no user number', async () => {
  await start('observe');
  await learn();
  await bench.tap(took(200_000, 7));
  const [entry] = bench.journal.records.filter(({ kind }) => kind === 'timing');
  expect(entry?.personal).toBeUndefined();
  expect(JSON.stringify(entry)).not.toContain('A000000007');
});

test('off, nothing is judged', async () => {
  await start('off');
  await learn();
  await bench.tap(took(900_000, 7));
  expect(timings()).toEqual([]);
});

describe('the watch', () => {
  test('learns each profile by itself, and leaves alone what does not authenticate', () => {
    bench = new Bench();
    const watch = new TimingWatch({ ...rules, mode: 'deny' });
    const judge = (us: number, card: number, changes: Partial<Reading> = {}) =>
      watch.judge(took(us, card, changes).reading, 0);
    for (let card = 0; card < 60; card += 1) judge(80_000, card);
    expect(judge(300_000, 1)).toMatchObject({ kind: 'slow', refused: true, answeredUs: 300_000 });
    expect(judge(300_000, 1, { profileId: 'type-d' })).toMatchObject({ kind: 'learning', refused: false });
    expect(judge(0, 1)).toBeUndefined();
  });
});
