import type { Reading } from '#core/card/reading.ts';
import { TimingBaseline, type TimingRules, type TimingVerdict } from '#core/card/timing-baseline.ts';

export interface TimingSettings extends TimingRules {
  /** `observe` records what is unusual; `deny` also refuses it */
  readonly mode: 'observe' | 'deny';
}

/** One reading's time, judged. */
export interface JudgedTiming extends TimingVerdict {
  /** microseconds that the card took to answer the authentication commands */
  readonly answeredUs: number;
  readonly refused: boolean;
}

/**
 * Watches how long cards take to authenticate at one reader, by profile. What it has learned lives as long as the
 * terminal runs: after a power cut the reader, its cable or its firmware may be another, and the times of cards, which
 * tell them apart, stay off the disk.
 */
export class TimingWatch {
  readonly #settings: TimingSettings;
  readonly #baselines = new Map<string, TimingBaseline>();

  constructor(settings: TimingSettings) {
    this.#settings = settings;
  }

  /** whether a tap has to wait for the judgement; one that is only observed is judged when it is over */
  get denies(): boolean {
    return this.#settings.mode === 'deny';
  }

  /** Judges a reading taken at `atUs` (monotonic µs) and learns from it; undefined for one without authentication, whose card anybody can copy. */
  judge({ profileId, diversifier, userNumber, timings }: Reading, atUs: number): JudgedTiming | undefined {
    const us = timings.authenticateCardUs;
    if (us === 0) return undefined;
    let baseline = this.#baselines.get(profileId);
    if (!baseline) {
      baseline = new TimingBaseline(this.#settings);
      this.#baselines.set(profileId, baseline);
    }
    const verdict = baseline.judge(diversifier ?? userNumber, us, atUs);
    return { ...verdict, answeredUs: us, refused: verdict.kind === 'slow' && this.denies };
  }
}
