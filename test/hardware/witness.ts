import { readers } from './configuration.ts';
import type { Change } from './lines.ts';

/** Something that was seen of the machine from outside, and that the disk must know of if the power goes then. */
export type Sight =
  | { readonly kind: 'grant'; readonly slot: number; readonly holder: string }
  /** shown for a fault as well: of these no entry is demanded */
  | { readonly kind: 'denial'; readonly slot: number }
  | { readonly kind: 'opening'; readonly slot: number }
  | { readonly kind: 'import' };

/** Notes what is seen, each with how much the disk had been given by then. */
export class Witness {
  /** how long the log was when the witness came */
  readonly since: number;
  readonly #logged: () => number;
  readonly #sights: { readonly sight: Sight; readonly at: number }[] = [];
  readonly #held: string[] = [];

  /** `logged`: how long the log of the disk is at this moment, in bytes */
  constructor(logged: () => number) {
    this.#logged = logged;
    this.since = logged();
  }

  /** The card of `holder` is held up at a reader: what its lamps say next is about it. */
  holdsUp(slot: number, holder: string): void {
    this.#held[slot] = holder;
  }

  /** A strike or a lamp moved. */
  moved({ line, level }: Change): void {
    if (level !== 1) return;
    for (const [slot, { strike, granted, denied }] of readers.entries()) {
      if (line === strike) this.#note({ kind: 'opening', slot });
      if (line === granted) this.#note({ kind: 'grant', slot, holder: this.#held[slot] ?? 'nobody' });
      if (line === denied) this.#note({ kind: 'denial', slot });
    }
  }

  /** The import of the new list said that it is installed. */
  imported(): void {
    this.#note({ kind: 'import' });
  }

  /** What had been seen when the log was `at` long. */
  until(at: number): readonly Sight[] {
    return this.#sights.filter((it) => it.at <= at).map(({ sight }) => sight);
  }

  /** How long the log was at each sight. */
  moments(): readonly number[] {
    return this.#sights.map(({ at }) => at);
  }

  #note(sight: Sight): void {
    this.#sights.push({ sight, at: this.#logged() });
  }
}

export function count(sights: readonly Sight[], kind: Sight['kind'], slot?: number): number {
  return sights.filter((it) => it.kind === kind && (slot === undefined || ('slot' in it && it.slot === slot)))
    .length;
}
