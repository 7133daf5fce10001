/**
 * Learns how long the authentication commands take at one reader with the cards of one profile, and tells what is
 * unusually long: a relay adds the way to the distant card to every exchange. No clock, no randomness. A card that is
 * known here is judged by its own times, any other by those of the reader's other cards.
 */

export interface TimingRules {
  /** spreads above what is expected from which a time is unusual */
  readonly factor: number;
  /** limit that holds before anything is learned, and above which no time is ever usual, in microseconds */
  readonly limitUs: number;
}

/** What a time is held against. */
interface Measure {
  /** `card`: the times of this very card here; `reader`: those of the cards seen last */
  readonly against: 'card' | 'reader';
  readonly medianUs: number;
  readonly spreadUs: number;
  /** times above it are unusual */
  readonly limitUs: number;
}

export interface TimingVerdict extends Measure {
  readonly kind: 'learning' | 'usual' | 'slow';
  /** so many different cards were slow that it is the reader or the cards that have changed: the limit has risen */
  readonly shifted: boolean;
  /** this card alone was as slow on days before, and never quick between: from now on that is usual for it */
  readonly settled: boolean;
}

/** A card that was slow, and not usual since. */
interface Lasting {
  /** the last times that counted */
  readonly times: readonly number[];
  /** monotonic time of the last of them, in microseconds */
  readonly countedAtUs: number;
  /** times up to it are usual for this card, once it has settled */
  readonly limitUs?: number;
}

interface Latest {
  readonly us: number;
  /** how far from what was expected of the card */
  readonly offUs: number;
}

/** times before anything is enforced */
const learnTaps = 50;
/** cards whose latest times make the reader's median and spread; older ones make room */
const recentCards = 256;
/** cards whose own times are remembered, those seen last: a large site's; some 230 bytes each */
const mostCards = 20_000;
/** own times that are remembered, and how many make a card known */
const ownTimes = 5;
const knownFrom = 3;
/** what this many different cards do is no relay but a change of the cards or of the reader */
const company = 3;
/** among fewer cards than this, one that was slow while learning is company enough: a server room has four cards */
const fewCards = 25;
/** a card that was as slow so often, each time so long after the one before, has itself become slower */
const settledFrom = 3;
const apartUs = 12 * 3_600 * 1_000_000;
/** a reader answers no more evenly than this, in microseconds: polling, scheduling, one retransmission on the air */
const leastSpreadUs = 3_000;
/** makes the median absolute deviation of a normal distribution its standard deviation */
const deviationScale = 1.4826;

/** Typed, since it is on the way of every tap: numbers sort faster without a comparator. */
function medianOf(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}

const spreadOf = (deviations: readonly number[]) =>
  Math.max(deviationScale * medianOf(deviations), leastSpreadUs);

/** Sets the newest entry and drops the oldest beyond `most`. */
function putLast<Value>(map: Map<string, Value>, key: string, value: Value, most: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= most) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    return;
  }
}

export class TimingBaseline {
  readonly #rules: TimingRules;
  /** usual times by card, never leaving the terminal's memory; a card counts once, by its latest */
  readonly #recent = new Map<string, Latest>();
  readonly #own = new Map<string, readonly number[]>();
  /** cards not known here that were slow, and not usual since */
  readonly #strangers = new Map<string, number>();
  /** known cards that were slow one after the other, no known card having been usual since */
  readonly #run = new Map<string, number>();
  readonly #lasting = new Map<string, Lasting>();
  /** times that cards in company have taken are usual for whoever is not known, as long as this lives */
  #raisedUs = 0;
  /** taps learned from at first, `learnTaps` at most */
  #taken = 0;

  constructor(rules: TimingRules) {
    this.#rules = rules;
  }

  /**
   * Judges one time, in microseconds, taken at `atUs` on a monotonic clock, and learns from it. `card` tells cards
   * apart. What is slow is not learned from, unless three different cards are: cards not known here at any time, or
   * known ones without a usual one between them; or one card is three times, half a day apart, all of them alike,
   * until it is usual again. The time that completes the three is usual already. One above the absolute limit never is.
   */
  judge(card: string, us: number, atUs: number): TimingVerdict {
    const own = this.#own.get(card) ?? [];
    const unchanged = { shifted: false, settled: false };
    const measure = { ...(own.length < knownFrom ? this.#byReader() : this.#byItself(own)), ...unchanged };
    const absolute = { ...measure, limitUs: this.#rules.limitUs };
    if (us > absolute.limitUs) return { kind: 'slow', ...absolute };
    if (this.#taken < learnTaps) {
      this.#learn(card, us, measure.medianUs);
      this.#taken += 1;
      if (this.#taken === learnTaps) this.#raiseByLearned();
      return { kind: 'learning', ...absolute };
    }
    if (us <= measure.limitUs) {
      this.#learn(card, us, measure.medianUs);
      this.#strangers.delete(card);
      this.#lasting.delete(card);
      if (measure.against === 'card') this.#run.clear();
      return { kind: 'usual', ...measure };
    }
    const { limitUs = 0 } = this.#lasting.get(card) ?? {};
    if (us <= limitUs) return { kind: 'usual', ...measure, against: 'card', limitUs };
    const settled = this.#settles(card, us, atUs, measure);
    const shifted = this.#gather(card, us, measure);
    return { kind: shifted || settled ? 'usual' : 'slow', ...measure, shifted, settled };
  }

  #latest(figure: keyof Latest): number[] {
    const figures: number[] = [];
    for (const latest of this.#recent.values()) figures.push(latest[figure]);
    return figures;
  }

  #byReader(): Measure {
    const times = this.#latest('us');
    const medianUs = medianOf(times);
    const spreadUs = spreadOf(times.map((us) => Math.abs(us - medianUs)));
    const limitUs = Math.max(medianUs + this.#rules.factor * spreadUs, this.#raisedUs);
    return { against: 'reader', medianUs, spreadUs, limitUs: Math.min(limitUs, this.#rules.limitUs) };
  }

  /** The spread is that of cards about their own times, so that two generations do not widen each other's limits. */
  #byItself(own: readonly number[]): Measure {
    const medianUs = medianOf(own);
    const spreadUs = spreadOf(this.#latest('offUs'));
    const limitUs = medianUs + this.#rules.factor * spreadUs;
    return { against: 'card', medianUs, spreadUs, limitUs: Math.min(limitUs, this.#rules.limitUs) };
  }

  #learn(card: string, us: number, expectedUs: number): void {
    putLast(this.#recent, card, { us, offUs: Math.abs(us - expectedUs) }, recentCards);
    const own = [...(this.#own.get(card) ?? []), us].slice(-ownTimes);
    putLast(this.#own, card, own, mostCards);
  }

  /** Cards of a slower generation that were there from the start. */
  #raiseByLearned(): void {
    const { limitUs, spreadUs } = this.#byReader();
    const slow = this.#latest('us').filter((us) => us > limitUs);
    const enough = this.#recent.size < fewCards ? 1 : company;
    if (slow.length >= enough) this.#raise(slow, spreadUs);
  }

  /**
   * Counts a slow time; true when it makes the card's slowness lasting. Times that differ by more than their spread
   * explains do not: a way over networks is uneven. One usual time undoes it all, and the holder makes that himself.
   */
  #settles(card: string, us: number, atUs: number, { spreadUs }: Measure): boolean {
    const before = this.#lasting.get(card);
    if (before && atUs - before.countedAtUs < apartUs) return false;
    const times = [...(before?.times ?? []), us].slice(-settledFrom);
    const widthUs = this.#rules.factor * spreadUs;
    const alike = times.length === settledFrom && Math.max(...times) - Math.min(...times) <= widthUs;
    const limitUs = alike ? Math.min(medianOf(times) + widthUs, this.#rules.limitUs) : before?.limitUs;
    const lasting = { times, countedAtUs: atUs, ...(limitUs !== undefined && { limitUs }) };
    putLast(this.#lasting, card, lasting, mostCards);
    return alike;
  }

  /** Keeps a slow time until it has company; true when that is complete. */
  #gather(card: string, us: number, { against, medianUs, spreadUs }: Measure): boolean {
    const group = against === 'card' ? this.#run : this.#strangers;
    group.set(card, us);
    if (group.size < company) return false;
    this.#raise([...group.values()], spreadUs);
    // the reader has changed: what cards took before says nothing any more
    if (against === 'card') {
      this.#own.clear();
      this.#lasting.clear();
    }
    for (const [each, slowUs] of group) this.#learn(each, slowUs, medianUs);
    group.clear();
    return true;
  }

  /** From the slowest, since three say little about how far their generation reaches. */
  #raise(slow: readonly number[], spreadUs: number): void {
    this.#raisedUs = Math.max(this.#raisedUs, Math.max(...slow) + this.#rules.factor * spreadUs);
  }
}
