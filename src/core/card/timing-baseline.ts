/**
 * Learns how long the authentication commands take at one reader with the cards of one profile, and tells what is
 * unusually long: a relay adds the way to the distant card to every exchange. No clock, no randomness; the state is
 * a plain value that `judgeTiming` returns anew.
 */

export interface TimingRules {
  /** spreads above the median from which a time is unusual */
  readonly factor: number;
  /** limit that holds before anything is learned, and above which no time is ever usual, in microseconds */
  readonly limitUs: number;
}

interface Sample {
  /** tells cards apart; never leaves the terminal's memory */
  readonly card: string;
  readonly us: number;
}

/** `usual`: the latest time of each of the cards that count; `slow`: those found too slow, waiting for company. */
export interface TimingBaseline {
  readonly usual: readonly Sample[];
  readonly slow: readonly Sample[];
  /** times taken in so far */
  readonly taken: number;
}

export interface TimingVerdict {
  readonly kind: 'learning' | 'usual' | 'slow';
  readonly medianUs: number;
  readonly spreadUs: number;
  /** times above it are unusual */
  readonly limitUs: number;
  /** so many different cards were slow that it is the reader or the cards that have changed: they count as usual now */
  readonly shifted: boolean;
}

export const noBaseline: TimingBaseline = { usual: [], slow: [], taken: 0 };

/** times before anything is enforced */
const learnTaps = 50;
/** cards whose latest times count; older ones make room */
const mostCards = 256;
/** a time that this many different cards have taken is not unusual, whatever the median says */
const company = 3;
/** with fewer cards than this, the slowest one known is company enough: a server room has four, of two generations */
const fewCards = 25;
/** a reader answers no more evenly than this, in microseconds: polling, scheduling, one retransmission on the air */
const leastSpreadUs = 3_000;
/** makes the median absolute deviation of a normal distribution its standard deviation */
const deviationScale = 1.4826;

function medianOf(sorted: Float64Array): number {
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}

/** Typed, since it is on the way of every tap: numbers sort faster without a comparator. */
const ascending = (values: readonly number[]): Float64Array => Float64Array.from(values).sort();

/** Median, spread and limit of the times that count as usual. */
function measure(usual: readonly Sample[], { factor, limitUs }: TimingRules) {
  const unordered = usual.map(({ us }) => us);
  const times = ascending(unordered);
  const medianUs = medianOf(times);
  const deviation = medianOf(ascending(unordered.map((us) => Math.abs(us - medianUs))));
  const spreadUs = Math.max(deviationScale * deviation, leastSpreadUs);
  const rank = times.length < fewCards ? 1 : company;
  const known = times.at(-rank) ?? 0;
  // what several cards have taken is usual, with the room that a reader's unevenness needs
  const learned = Math.max(medianUs + factor * spreadUs, known + leastSpreadUs);
  return { medianUs, spreadUs, limitUs: Math.min(learned, limitUs) };
}

function withSample(samples: readonly Sample[], sample: Sample): Sample[] {
  return [...samples.filter(({ card }) => card !== sample.card), sample].slice(-mostCards);
}

/**
 * Judges one time and learns from it. A card counts once, by its latest time, so that nobody moves the limit by
 * holding one card again and again. Slow times are learned from when three different cards have been slow; one above
 * the absolute limit never is.
 */
export function judgeTiming(
  baseline: TimingBaseline,
  sample: Sample,
  rules: TimingRules,
): { readonly baseline: TimingBaseline; readonly verdict: TimingVerdict } {
  const { usual, slow } = baseline;
  const taken = baseline.taken + 1;
  if (sample.us > rules.limitUs) {
    const verdict: TimingVerdict = {
      kind: 'slow',
      ...measure(usual, rules),
      limitUs: rules.limitUs,
      shifted: false,
    };
    return { baseline, verdict };
  }
  if (baseline.taken < learnTaps) {
    const learned = withSample(usual, sample);
    const verdict: TimingVerdict = {
      kind: 'learning',
      ...measure(learned, rules),
      limitUs: rules.limitUs,
      shifted: false,
    };
    return { baseline: { usual: learned, slow, taken }, verdict };
  }
  const measured = measure(usual, rules);
  if (sample.us <= measured.limitUs) {
    const others = slow.filter(({ card }) => card !== sample.card);
    return {
      baseline: { usual: withSample(usual, sample), slow: others, taken },
      verdict: { kind: 'usual', ...measured, shifted: false },
    };
  }
  const gathered = withSample(slow, sample);
  const shifted = gathered.length >= company;
  return {
    baseline: shifted
      ? { usual: gathered.reduce(withSample, [...usual]), slow: [], taken }
      : { usual, slow: gathered, taken },
    verdict: { kind: 'slow', ...measured, shifted },
  };
}
