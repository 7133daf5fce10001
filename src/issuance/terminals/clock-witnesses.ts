import type { Clock } from '#ports/clock.ts';

/** clocks that are both right are never so far apart, in milliseconds; terminals believe nothing issued further ahead */
const apartMs = 3_600_000;
/** whoever has said nothing for so long is asked no more; terminals say how they are every minute */
const heardWithinMs = 300_000;

interface Heard {
  /** UTC of the terminal against the time that has passed here, in milliseconds: it moves on by itself */
  readonly offsetMs: number;
  readonly atMs: number;
}

/**
 * What terminals say of the time, whose clocks are known to be right. Most of an organization's outvote the clock of
 * this server: what it would date wrongly is not signed until one of them is put right.
 */
export class ClockWitnesses {
  readonly #clock: Pick<Clock, 'utcMs' | 'monotonicUs'>;
  /** by organization and terminal */
  readonly #heard = new Map<string, Map<string, Heard>>();

  constructor({ clock }: { readonly clock: Pick<Clock, 'utcMs' | 'monotonicUs'> }) {
    this.#clock = clock;
  }

  heard(
    { organization, terminal }: { readonly organization: string; readonly terminal: string },
    { utcMs, trusted }: { readonly utcMs: number; readonly trusted: boolean },
  ): void {
    const own = this.#heard.get(organization) ?? new Map<string, Heard>();
    this.#heard.set(organization, own);
    const atMs = this.#passedMs();
    if (trusted) own.set(terminal, { offsetMs: utcMs - atMs, atMs });
    else own.delete(terminal);
  }

  /** Whether this server's clock is not that of most of those terminals; false while none has one that is right. */
  areAgainst(organization: string): boolean {
    const own = this.#heard.get(organization) ?? new Map<string, Heard>();
    const [utcMs, passedMs] = [this.#clock.utcMs(), this.#passedMs()];
    let votes = 0;
    for (const [terminal, { offsetMs, atMs }] of own) {
      if (passedMs - atMs > heardWithinMs) own.delete(terminal);
      else votes += Math.abs(passedMs + offsetMs - utcMs) > apartMs ? 1 : -1;
    }
    return votes > 0;
  }

  #passedMs(): number {
    return this.#clock.monotonicUs() / 1_000;
  }
}
