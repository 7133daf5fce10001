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
  /** times that cards in company have taken are usual for whoever is not known, as long as this lives */
  #raisedUs = 0;
  /** taps learned from at first, `learnTaps` at most */
  #taken = 0;

  constructor(rules: TimingRules) {
    this.#rules = rules;
  }

  /**
   * Judges one time, in microseconds, and learns from it. `card` tells cards apart. What is slow is not learned from,
   * unless three different cards are: cards not known here at any time, or known ones without a usual one between
   * them. The time that completes the three is usual already. One above the absolute limit never is.
   */
  judge(card: string, us: number): TimingVerdict {
    const own = this.#own.get(card) ?? [];
    const measure = own.length < knownFrom ? this.#byReader() : this.#byItself(own);
    const absolute = { ...measure, limitUs: this.#rules.limitUs };
    if (us > absolute.limitUs) return { kind: 'slow', ...absolute, shifted: false };
    if (this.#taken < learnTaps) {
      this.#learn(card, us, measure.medianUs);
      this.#taken += 1;
      if (this.#taken === learnTaps) this.#raiseByLearned();
      return { kind: 'learning', ...absolute, shifted: false };
    }
    if (us <= measure.limitUs) {
      this.#learn(card, us, measure.medianUs);
      this.#strangers.delete(card);
      if (measure.against === 'card') this.#run.clear();
      return { kind: 'usual', ...measure, shifted: false };
    }
    const shifted = this.#gather(card, us, measure);
    return { kind: shifted ? 'usual' : 'slow', ...measure, shifted };
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

  /** Keeps a slow time until it has company; true when that is complete. */
  #gather(card: string, us: number, { against, medianUs, spreadUs }: Measure): boolean {
    const group = against === 'card' ? this.#run : this.#strangers;
    group.set(card, us);
    if (group.size < company) return false;
    this.#raise([...group.values()], spreadUs);
    // the reader has changed: what cards took before says nothing any more
    if (against === 'card') this.#own.clear();
    for (const [each, slowUs] of group) this.#learn(each, slowUs, medianUs);
    group.clear();
    return true;
  }

  /** From the slowest, since three say little about how far their generation reaches. */
  #raise(slow: readonly number[], spreadUs: number): void {
    this.#raisedUs = Math.max(this.#raisedUs, Math.max(...slow) + this.#rules.factor * spreadUs);
  }
}
