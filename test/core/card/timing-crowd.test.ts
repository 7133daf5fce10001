import { describe, expect, test } from 'vitest';
import { TimingBaseline } from '#core/card/timing-baseline.ts';

/** The figures of docs/cards.md: one reader, 5,000 cards, each held up once a day, some of a slower generation. */
const cards = 5_000;
const usualUs = 80_000;
const slowerUs = 40_000;
const dayUs = 24 * 3_600 * 1_000_000;

/** Seeded (mulberry32), so that the figures are always the same. */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

class Building {
  readonly #random = chance(20_261_122);
  readonly #baseline = new TimingBaseline({ factor: 8, limitUs: 1_000_000 });
  readonly #minority: number;
  #days = 0;
  readonly #spreadUs: number;

  constructor(minority: number, spreadMs: number) {
    this.#minority = minority;
    this.#spreadUs = spreadMs * 1_000;
  }

  isSlower(card: number): boolean {
    return card < cards * this.#minority;
  }

  tap(card: number, relayUs = 0): boolean {
    // normal distribution, Box and Muller
    const deviation = Math.sqrt(-2 * Math.log(1 - this.#random())) * Math.cos(2 * Math.PI * this.#random());
    const us = usualUs + (this.isSlower(card) ? slowerUs : 0) + deviation * this.#spreadUs + relayUs;
    return this.#baseline.judge(String(card), Math.round(us), this.#days * dayUs).kind === 'slow';
  }

  /** one day: everybody once, in another order each day; who was refused */
  day(): number[] {
    this.#days += 1;
    const order = Array.from({ length: cards }, (_, card) => ({ card, at: this.#random() }));
    return order
      .sort((a, b) => a.at - b.at)
      .filter(({ card }) => this.tap(card))
      .map(({ card }) => card);
  }

  /** of relays of cards known here, one in fifty taps, each holder coming by himself later: the share found */
  caught(relayMs: number): number {
    const holders = Array.from({ length: 60 }, (_, index) => index * 80);
    const found = holders.filter((card) => {
      const slow = this.tap(card, relayMs * 1_000);
      for (let other = card + 1; other < card + 50; other += 1) this.tap(other);
      this.tap(card);
      return slow;
    });
    return found.length / holders.length;
  }

  afterFourDays(): { slower: number; others: number } {
    const refused = Array.from({ length: 4 }, () => this.day()).flat();
    const slower = refused.filter((card) => this.isSlower(card)).length;
    return { slower, others: refused.length - slower };
  }
}

describe.each([1, 10])('times spread by %i ms', (spreadMs) => {
  test.each([0.002, 0.005, 0.01, 0.02, 0.1])('of a share of %f of slower cards two are kept out', (share) => {
    const { slower, others } = new Building(share, spreadMs).afterFourDays();
    expect(slower).toBeLessThanOrEqual(2);
    expect(others).toBe(0);
  });
});

test.each([
  { spreadMs: 1, relayMs: 30 },
  { spreadMs: 3, relayMs: 45 },
  { spreadMs: 5, relayMs: 70 },
  { spreadMs: 10, relayMs: 130 },
])('times spread by $spreadMs ms: nineteen in twenty relays of $relayMs ms are found', (given) => {
  const building = new Building(0.01, given.spreadMs);
  expect(building.afterFourDays().slower).toBeLessThanOrEqual(2);
  expect(building.caught(given.relayMs)).toBeGreaterThanOrEqual(0.95);
});
