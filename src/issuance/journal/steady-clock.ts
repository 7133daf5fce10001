import type { Clock } from '#ports/clock.ts';

/** of UTC against what has passed since, in milliseconds: more is a step, or the sleep of a machine */
const stepMs = 3_600_000;
/** how long after a step UTC is not gone by */
const unsteadyMs = 86_400_000;

/**
 * Whether UTC has gone on evenly of late: what is done by it and can never be undone waits until a clock that was set wrong
 * may have been put right.
 */
export class SteadyClock {
  readonly #clock: Pick<Clock, 'utcMs' | 'monotonicUs'>;
  #offsetMs: number;
  #steppedAtMs: number | undefined;

  constructor({ clock }: { readonly clock: Pick<Clock, 'utcMs' | 'monotonicUs'> }) {
    this.#clock = clock;
    this.#offsetMs = this.#offset();
  }

  /** To be called again and again: a step is noticed at the next call. */
  look(): boolean {
    const nowMs = this.#clock.monotonicUs() / 1_000;
    const offsetMs = this.#offset();
    if (Math.abs(offsetMs - this.#offsetMs) > stepMs) this.#steppedAtMs = nowMs;
    this.#offsetMs = offsetMs;
    return this.#steppedAtMs === undefined || nowMs >= this.#steppedAtMs + unsteadyMs;
  }

  #offset(): number {
    return this.#clock.utcMs() - this.#clock.monotonicUs() / 1_000;
  }
}
