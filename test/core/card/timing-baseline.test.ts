import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TimingBaseline, type TimingRules, type TimingVerdict } from '#core/card/timing-baseline.ts';

const rules: TimingRules = { factor: 8, limitUs: 1_000_000 };

class Reader {
  readonly baseline: TimingBaseline;

  constructor(given: Partial<TimingRules> = {}) {
    this.baseline = new TimingBaseline({ ...rules, ...given });
  }

  tap(card: string | number, us: number, atUs = 0): TimingVerdict {
    return this.baseline.judge(String(card), us, atUs);
  }

  /** `count` taps of as many cards around `us`, some 2 ms up and down */
  crowd(count: number, us: number, from = 0): TimingVerdict[] {
    return Array.from({ length: count }, (_, index) =>
      this.tap(from + index, us + (((index * 7919) % 5) - 2) * 1_000),
    );
  }

  /** three days of the same two hundred cards, after which each is known */
  regulars(us = 80_000): this {
    for (let day = 0; day < 3; day += 1) this.crowd(200, us);
    return this;
  }
}

const kinds = (verdicts: readonly TimingVerdict[]) => new Set(verdicts.map(({ kind }) => kind));
const slowIn = (verdicts: readonly TimingVerdict[]) => verdicts.filter(({ kind }) => kind === 'slow').length;

test('the first 50 times are learned from, and only the absolute limit holds meanwhile', () => {
  const reader = new Reader();
  expect(kinds(reader.crowd(50, 80_000))).toEqual(new Set(['learning']));
  expect(reader.tap('a', 80_000).kind).toBe('usual');
  const fresh = new Reader();
  expect(fresh.tap('a', 1_000_001)).toMatchObject({ kind: 'slow', limitUs: 1_000_000 });
  expect(kinds(fresh.crowd(50, 80_000))).toEqual(new Set(['learning']));
});

test('a card not known here is held against the median, spread and limit of the cards seen last', () => {
  const reader = new Reader();
  reader.crowd(100, 80_000);
  expect(reader.tap('new', 80_000)).toEqual({
    kind: 'usual',
    against: 'reader',
    medianUs: 80_000,
    spreadUs: 3_000,
    limitUs: 104_000,
    shifted: false,
    settled: false,
  });
});

test('a card known here is held against its own times', () => {
  const reader = new Reader().regulars();
  for (let tap = 0; tap < 3; tap += 1) reader.tap('quick', 60_000);
  expect(reader.tap('quick', 84_001)).toMatchObject({ kind: 'slow', against: 'card', medianUs: 60_000 });
  expect(reader.tap('quick', 84_000)).toMatchObject({ kind: 'usual', against: 'card', limitUs: 84_000 });
});

test('a relay that adds 30 ms is unusual, for a card that is known and for one that is not', () => {
  const reader = new Reader().regulars();
  expect(reader.tap(7, 110_000)).toMatchObject({ kind: 'slow', against: 'card', shifted: false });
  expect(reader.tap('new', 110_000)).toMatchObject({ kind: 'slow', against: 'reader', shifted: false });
  expect(reader.tap(7, 80_000).kind).toBe('usual');
});

test('one card or two, held again and again, move nothing', () => {
  const reader = new Reader().regulars();
  const before = reader.tap('new', 80_000).limitUs;
  for (let round = 0; round < 500; round += 1) {
    for (const card of ['relayed', 'another', 1, 2])
      expect(reader.tap(card, 300_000)).toMatchObject({ kind: 'slow', shifted: false });
  }
  expect(reader.tap('newer', 80_000).limitUs).toBe(before);
});

test('slow taps of known cards between which others are usual never add up to a change of the reader', () => {
  const reader = new Reader().regulars();
  for (let card = 0; card < 150; card += 1) {
    expect(reader.tap(card, 180_000)).toMatchObject({ kind: 'slow', shifted: false });
    expect(reader.tap(card + 1, 80_000).kind).toBe('usual');
  }
});

test('a card that was slow once and usual since is no company for others', () => {
  const reader = new Reader().regulars();
  for (const card of ['a', 'b', 'c', 'd']) {
    expect(reader.tap(card, 180_000)).toMatchObject({ kind: 'slow', shifted: false });
    expect(reader.tap(card, 80_000).kind).toBe('usual');
  }
});

test('each rise of the limit takes three cards anew, and leaves known cards bound to their own times', () => {
  const reader = new Reader().regulars();
  for (const card of ['a', 'b', 'c']) reader.tap(card, 180_000);
  expect(reader.tap('d', 180_000)).toMatchObject({ kind: 'usual', limitUs: 204_000 });
  for (const card of ['d', 'e'])
    expect(reader.tap(card, 300_000)).toMatchObject({ kind: 'slow', shifted: false });
  expect(reader.tap(7, 180_000)).toMatchObject({ kind: 'slow', against: 'card' });
});

describe('nobody is kept out for long by a change that is no attack', () => {
  test('a reader that has become slower refuses two cards that it knows, and no more', () => {
    const reader = new Reader().regulars();
    const after = [...reader.crowd(200, 180_000), ...reader.crowd(200, 180_000)];
    expect(after.slice(0, 3)).toMatchObject([
      { kind: 'slow', shifted: false },
      { kind: 'slow', shifted: false },
      { kind: 'usual', shifted: true },
    ]);
    expect(slowIn(after)).toBe(2);
  });

  test('and two that it does not know', () => {
    const reader = new Reader().regulars();
    const after = Array.from({ length: 400 }, (_, tap) =>
      reader.tap(tap % 2 ? tap % 200 : `n${tap}`, 180_000),
    );
    expect(slowIn(after)).toBe(4);
  });

  test('two generations among four cards of a server room are usual from the start, a relay of either is not', () => {
    const reader = new Reader();
    for (let round = 0; round < 100; round += 1) {
      for (const card of ['a', 'b', 'c']) expect(reader.tap(card, 80_000).kind).not.toBe('slow');
      expect(reader.tap('old', 190_000).kind).not.toBe('slow');
    }
    expect(reader.tap('a', 120_000).kind).toBe('slow');
    expect(reader.tap('old', 230_000).kind).toBe('slow');
    expect(reader.tap('a fifth, of the old generation', 195_000).kind).toBe('usual');
  });

  test('whatever honest times came before, one that six different cards take is usual', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 20_000, max: 900_000 }), { minLength: 60, maxLength: 200 }),
        (times) => {
          const reader = new Reader();
          reader.crowd(60, 50_000);
          const highest = Math.max(...times);
          for (const [index, us] of times.entries()) reader.tap(`c${index}`, us);
          for (const card of ['u', 'v', 'w', 'x', 'y', 'z']) reader.tap(card, highest);
          expect(reader.tap('last', highest).kind).toBe('usual');
        },
      ),
    );
  });
});

describe('a card that has become slower by itself', () => {
  const day = 24 * 3_600 * 1_000_000;
  const known = () => new Reader().regulars();
  const slow = { kind: 'slow', settled: false };

  test.each([7, 'new'])('is let in on the third day (card %s), and stays so', (card) => {
    const reader = known();
    expect(reader.tap(card, 150_000, day)).toMatchObject(slow);
    expect(reader.tap(card, 152_000, 2 * day)).toMatchObject(slow);
    expect(reader.tap(card, 148_000, 3 * day)).toMatchObject({ kind: 'usual', settled: true });
    expect(reader.tap(card, 174_000, 3 * day + 1)).toMatchObject({
      kind: 'usual',
      against: 'card',
      limitUs: 174_000,
      settled: false,
    });
    expect(reader.tap(card, 174_001, 3 * day + 2)).toMatchObject(slow);
    expect(reader.tap(8, 150_000, 3 * day + 3)).toMatchObject({ kind: 'slow', against: 'card' });
  });

  test('gains nothing by haste: times of one half day count once', () => {
    const reader = known();
    for (let tap = 0; tap < 200; tap += 1) expect(reader.tap(7, 150_000, day + tap)).toMatchObject(slow);
    expect(reader.tap(7, 150_000, 1.5 * day - 1)).toMatchObject(slow);
    expect(reader.tap(7, 150_000, 1.5 * day)).toMatchObject(slow);
    expect(reader.tap(7, 150_000, 2 * day - 1)).toMatchObject(slow);
    expect(reader.tap(7, 150_000, 2 * day).settled).toBe(true);
  });

  test('a relay of a holder who comes himself is never let in, and what it had gained is gone', () => {
    const reader = known();
    for (let at = 1; at < 60; at += 1) {
      expect(reader.tap(7, 150_000, at * day)).toMatchObject(slow);
      expect(reader.tap(7, 80_000, at * day + 1).kind).toBe('usual');
    }
    for (let at = 61; at < 64; at += 1) reader.tap(7, 150_000, at * day);
    expect(reader.tap(7, 150_000, 65 * day).kind).toBe('usual');
    expect(reader.tap(7, 80_000, 66 * day).kind).toBe('usual');
    expect(reader.tap(7, 150_000, 67 * day)).toMatchObject(slow);
  });

  test('an uneven way is never taken for a slower card', () => {
    const reader = known();
    for (let at = 1; at < 60; at += 1)
      expect(reader.tap(7, 150_000 + (at % 3) * 15_000, at * day)).toMatchObject(slow);
  });

  test('one odd time does not undo it', () => {
    const reader = known();
    for (let at = 1; at <= 3; at += 1) reader.tap(7, 150_000, at * day);
    expect(reader.tap(7, 400_000, 4 * day)).toMatchObject(slow);
    expect(reader.tap(7, 150_000, 5 * day).kind).toBe('usual');
  });

  test('above the absolute limit it stays refused, and its limit never passes that', () => {
    const reader = new Reader({ limitUs: 160_000 }).regulars();
    for (let at = 1; at <= 3; at += 1) reader.tap(7, 155_000, at * day);
    expect(reader.tap(7, 160_000, 4 * day)).toMatchObject({ kind: 'usual', limitUs: 160_000 });
    expect(reader.tap(7, 160_001, 5 * day).kind).toBe('slow');
  });

  test('helps nobody else: the limit of other cards stays as it was', () => {
    const reader = known();
    const before = reader.tap('new', 80_000).limitUs;
    for (let at = 1; at <= 9; at += 1) reader.tap(7, 150_000, at * day);
    expect(reader.tap('newer', 80_000).limitUs).toBe(before);
  });
});

test('above the absolute limit nothing is ever usual, and nothing is learned from', () => {
  const reader = new Reader({ limitUs: 300_000 });
  reader.crowd(200, 80_000);
  for (let card = 0; card < 50; card += 1) {
    expect(reader.tap(`far ${card}`, 300_001)).toMatchObject({ kind: 'slow', shifted: false });
  }
  expect(reader.tap(1, 110_000).kind).toBe('slow');
});

test('the 20,000 cards seen last are remembered, and no more', () => {
  const reader = new Reader().regulars();
  expect(reader.tap(0, 80_000).against).toBe('card');
  reader.crowd(20_000 - 1, 80_000, 1_000);
  expect(reader.tap(0, 80_000).against).toBe('card');
  reader.crowd(20_000, 80_000, 30_000);
  expect(reader.tap(0, 80_000).against).toBe('reader');
});

describe('what is learned', () => {
  test('is told from the first tap: the median, of an even count the middle between two', () => {
    const reader = new Reader();
    const medians = [100_000, 200_000, 160_000, 120_000].map((us, card) => reader.tap(card, us).medianUs);
    expect(medians).toEqual([0, 100_000, 150_000, 160_000]);
    expect(reader.tap('fifth', 1_000_000)).toEqual({
      kind: 'learning',
      against: 'reader',
      medianUs: 140_000,
      spreadUs: expect.closeTo(1.4826 * 30_000, 6),
      limitUs: 1_000_000,
      shifted: false,
      settled: false,
    });
  });

  test('of a card makes it known from its third time, by its last five', () => {
    const reader = new Reader().regulars();
    const against = () => reader.tap('own', 60_000).against;
    expect([against(), against(), against(), against()]).toEqual(['reader', 'reader', 'reader', 'card']);
    reader.tap('own', 60_000);
    for (let tap = 0; tap < 3; tap += 1) reader.tap('own', 80_000);
    expect(reader.tap('own', 80_000).medianUs).toBe(80_000);
  });

  test('a time that a card took once while others were learned, and not since, is no generation', () => {
    const reader = new Reader();
    reader.crowd(2, 80_000);
    reader.tap('once', 200_000);
    reader.crowd(10, 80_000);
    reader.tap('once', 80_000);
    reader.crowd(60, 80_000, 100);
    expect(reader.tap('new', 200_000).kind).toBe('slow');
  });

  test.each([
    [23, 1, 'usual'],
    [24, 1, 'slow'],
    [23, 2, 'slow'],
    [22, 3, 'usual'],
  ])('of %i quick cards and %i slow ones, a slow newcomer is %s', (quick, slow, kind) => {
    const reader = new Reader();
    for (let card = 0; card < slow; card += 1) reader.tap(`slow ${card}`, 200_000);
    for (let tap = 0; tap < 60; tap += 1) reader.tap(tap % quick, 80_000);
    expect(reader.tap('new', 200_000).kind).toBe(kind);
  });

  test('from three slow strangers reaches beyond the slowest of them', () => {
    const reader = new Reader().regulars();
    for (const [card, us] of [
      ['a', 150_000],
      ['b', 210_000],
      ['c', 180_000],
    ] as const)
      reader.tap(card, us);
    expect(reader.tap('d', 234_000)).toMatchObject({ kind: 'usual', limitUs: 234_000 });
    expect(reader.tap('e', 234_001).kind).toBe('slow');
  });

  test('from a change of the reader begins anew, with the times of the three that showed it', () => {
    const reader = new Reader().regulars();
    for (const card of [1, 2, 3]) reader.tap(card, 180_000);
    const against = () => reader.tap(1, 180_000).against;
    expect([against(), against(), against()]).toEqual(['reader', 'reader', 'card']);
  });

  test('usual times of strangers do not part known cards that were slow one after the other', () => {
    const reader = new Reader().regulars();
    expect(reader.tap(1, 180_000).kind).toBe('slow');
    expect(reader.tap(2, 180_000).kind).toBe('slow');
    expect(reader.tap('stranger', 80_000)).toMatchObject({ kind: 'usual', against: 'reader' });
    expect(reader.tap(3, 180_000)).toMatchObject({ kind: 'usual', shifted: true });
  });
});
