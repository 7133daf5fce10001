import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  judgeTiming,
  noBaseline,
  type TimingBaseline,
  type TimingRules,
  type TimingVerdict,
} from '#core/card/timing-baseline.ts';

const rules: TimingRules = { factor: 8, limitUs: 1_000_000 };

class Reader {
  baseline: TimingBaseline = noBaseline;
  readonly rules: TimingRules;

  constructor(given: Partial<TimingRules> = {}) {
    this.rules = { ...rules, ...given };
  }

  tap(card: string | number, us: number): TimingVerdict {
    const { baseline, verdict } = judgeTiming(this.baseline, { card: String(card), us }, this.rules);
    this.baseline = baseline;
    return verdict;
  }

  /** `count` taps of as many cards around `us`, some 2 ms up and down */
  crowd(count: number, us: number, from = 0): TimingVerdict[] {
    return Array.from({ length: count }, (_, index) =>
      this.tap(from + index, us + (((index * 7919) % 5) - 2) * 1_000),
    );
  }
}

const kinds = (verdicts: readonly TimingVerdict[]) => new Set(verdicts.map(({ kind }) => kind));

test('the first 50 times are learned from, and only the absolute limit holds meanwhile', () => {
  const reader = new Reader();
  expect(kinds(reader.crowd(50, 80_000))).toEqual(new Set(['learning']));
  expect(reader.tap('a', 80_000).kind).toBe('usual');
  const fresh = new Reader();
  expect(fresh.tap('a', 1_000_001)).toMatchObject({ kind: 'slow', limitUs: 1_000_000 });
  expect(fresh.baseline.taken).toBe(0);
});

test('median, spread and limit are those of the cards that count', () => {
  const reader = new Reader();
  reader.crowd(100, 80_000);
  const { medianUs, spreadUs, limitUs } = reader.tap(1, 80_000);
  expect(medianUs).toBe(80_000);
  expect(spreadUs).toBe(3_000);
  expect(limitUs).toBe(104_000);
});

test('a relay that adds 30 ms is unusual', () => {
  const reader = new Reader();
  reader.crowd(200, 80_000);
  expect(reader.tap(7, 110_000)).toMatchObject({ kind: 'slow', shifted: false });
  expect(reader.tap(7, 80_000).kind).toBe('usual');
});

test('one card or two, held again and again, move nothing', () => {
  const reader = new Reader();
  reader.crowd(200, 80_000);
  const before = reader.tap(1, 80_000).limitUs;
  for (let round = 0; round < 500; round += 1) {
    expect(reader.tap('relayed', 300_000).kind).toBe('slow');
    expect(reader.tap('another', 310_000).kind).toBe('slow');
  }
  expect(reader.tap(1, 80_000).limitUs).toBe(before);
});

describe('nobody is kept out for long by a change that is no attack', () => {
  test('a reader that has become slower refuses two cards at most before it learns', () => {
    const reader = new Reader();
    reader.crowd(200, 80_000);
    const after = reader.crowd(1_000, 180_000);
    const slow = after.filter(({ kind }) => kind === 'slow');
    expect(slow).toHaveLength(3);
    expect(slow.map(({ shifted }) => shifted)).toEqual([false, false, true]);
    expect(kinds(after.slice(20))).toEqual(new Set(['usual']));
  });

  test('a new generation of cards, ten in a hundred, refuses three taps at most', () => {
    const reader = new Reader();
    reader.crowd(200, 80_000);
    const verdicts: TimingVerdict[] = [];
    for (let tap = 0; tap < 2_000; tap += 1) {
      verdicts.push(tap % 10 === 3 ? reader.tap(`new ${tap}`, 140_000) : reader.tap(tap % 500, 80_000));
    }
    expect(verdicts.filter(({ kind }) => kind === 'slow')).toHaveLength(3);
  });

  test('two generations among four cards of a server room are both usual from the start', () => {
    const reader = new Reader();
    for (let round = 0; round < 100; round += 1) {
      for (const card of ['a', 'b', 'c']) expect(reader.tap(card, 80_000).kind).not.toBe('slow');
      expect(reader.tap('old', 190_000).kind).not.toBe('slow');
    }
    expect(reader.tap('a', 230_000).kind).toBe('slow');
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

test('above the absolute limit nothing is ever usual, and nothing is learned from', () => {
  const reader = new Reader({ limitUs: 300_000 });
  reader.crowd(200, 80_000);
  for (let card = 0; card < 50; card += 1) {
    expect(reader.tap(`far ${card}`, 300_001)).toMatchObject({ kind: 'slow', shifted: false });
  }
  expect(reader.tap(1, 110_000).kind).toBe('slow');
});

test('old cards make room: the state does not grow', () => {
  const reader = new Reader();
  reader.crowd(2_000, 80_000);
  expect(reader.baseline.usual).toHaveLength(256);
  expect(reader.baseline.slow.length).toBeLessThan(3);
});
