import type { Clock } from '#ports/clock.ts';

/** how often to look whether a tap has ended, and how long work that must come through waits at most, in milliseconds */
const lookEveryMs = 50;
const longestMs = 2_000;

/** Lets whoever stands at a reader go first. */
export class TapPause {
  readonly #parts: { readonly clock: Clock; readonly tapUnderWay: () => boolean };

  constructor(parts: { readonly clock: Clock; readonly tapUnderWay: () => boolean }) {
    this.#parts = parts;
  }

  /** Resolves when no tap is under way, or when that was so for long: readers that are never idle must not stop the rest. */
  async over(): Promise<void> {
    const { clock, tapUnderWay } = this.#parts;
    for (let waitedMs = 0; waitedMs < longestMs && tapUnderWay(); waitedMs += lookEveryMs) {
      await new Promise<void>((resolve) => clock.after(lookEveryMs, resolve));
    }
  }
}
