import type { Clock } from '#ports/clock.ts';

/**
 * The time as it is known for sure: the clock while it is trusted, and counted on from then once it is not any more. A
 * clock that then shows a later time may be right: the machine may have slept.
 */
export class SureTime {
  readonly #clock: Clock;
  #trusted: { readonly utcMs: number; readonly monotonicUs: number } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Milliseconds UTC, never too early; undefined while the clock has not been trusted in this run. To be asked now and then. */
  nowMs(): number | undefined {
    const [utcMs, monotonicUs] = [this.#clock.utcMs(), this.#clock.monotonicUs()];
    if (this.#clock.trusted()) this.#trusted = { utcMs, monotonicUs };
    if (!this.#trusted) return undefined;
    const passedMs = Math.floor((monotonicUs - this.#trusted.monotonicUs) / 1_000);
    return Math.max(utcMs, this.#trusted.utcMs + passedMs);
  }
}
