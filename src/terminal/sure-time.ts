import type { Clock } from '#ports/clock.ts';

/** The time as it is known for sure: the clock while it is trusted, and counted on from then once it is not any more. */
export class SureTime {
  readonly #clock: Clock;
  #trusted: { readonly utcMs: number; readonly monotonicUs: number } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Milliseconds UTC; undefined while the clock has not been trusted in this run. To be asked now and then. */
  nowMs(): number | undefined {
    const monotonicUs = this.#clock.monotonicUs();
    if (this.#clock.trusted()) this.#trusted = { utcMs: this.#clock.utcMs(), monotonicUs };
    if (!this.#trusted) return undefined;
    return this.#trusted.utcMs + Math.floor((monotonicUs - this.#trusted.monotonicUs) / 1_000);
  }
}
