import type { Clock } from '#ports/clock.ts';

/** by how much both have to differ, in milliseconds: clocks that were set to the hour of another country differ by less */
const apartMs = 86_400_000;
/** so many terminals at least: of fewer, a wrong or a hostile one would be most of them */
const fewest = 3;
/** whoever has said nothing for so long is asked no more; terminals say how they are every minute */
const heardWithinMs = 300_000;

interface Heard {
  /** UTC of the terminal against the time that has passed here, in milliseconds: it moves on by itself */
  readonly offsetMs: number;
  readonly atMs: number;
  /** whether the terminal takes its own clock for right */
  readonly trusted: boolean;
}

/**
 * What terminals say of the time. Most of those of an organization that are heard outvote the clock of this server, where
 * theirs are known to be right and differ by days: what it would date wrongly is not signed until one side is put right.
 * A server that was stopped for nothing would deny everybody in the end: in doubt it goes on.
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
    own.set(terminal, { offsetMs: utcMs - atMs, atMs, trusted });
  }

  /** Whether this server's clock is not that of most terminals heard, those counted in that do not know the time. */
  areAgainst(organization: string): boolean {
    const own = this.#heard.get(organization) ?? new Map<string, Heard>();
    const [utcMs, passedMs] = [this.#clock.utcMs(), this.#passedMs()];
    let against = 0;
    for (const [terminal, { offsetMs, atMs, trusted }] of own) {
      if (passedMs - atMs > heardWithinMs) own.delete(terminal);
      else if (trusted && Math.abs(passedMs + offsetMs - utcMs) > apartMs) against += 1;
    }
    return against >= fewest && 2 * against > own.size;
  }

  #passedMs(): number {
    return this.#clock.monotonicUs() / 1_000;
  }
}
