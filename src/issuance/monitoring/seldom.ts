const windowMs = 60_000;
const mostInWindow = 10;

/** Keeps what a stranger can bring about at will from filling the log: metrics count all of it. */
export class Seldom {
  readonly #nowMs: () => number;
  readonly #kinds = new Map<string, { sinceMs: number; times: number }>();

  constructor(parts: { readonly nowMs: () => number }) {
    this.#nowMs = parts.nowMs;
  }

  /**
   * Whether something of this kind (of which there are few) is to be told: ten times a minute. `untold`: how many before
   * it were not.
   */
  tell(kind: string): { readonly untold: number } | undefined {
    const nowMs = this.#nowMs();
    const known = this.#kinds.get(kind);
    if (known && nowMs - known.sinceMs < windowMs) {
      known.times += 1;
      return known.times <= mostInWindow ? { untold: 0 } : undefined;
    }
    this.#kinds.set(kind, { sinceMs: nowMs, times: 1 });
    return { untold: Math.max(0, (known?.times ?? 0) - mostInWindow) };
  }
}
