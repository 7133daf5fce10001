import type { AccessMemory } from '#core/access/access-memory.ts';
import type { Unused } from '#core/access/fact-kinds.ts';
import type { JournalWriter, Occurrence } from './journal-writer.ts';

type OfTap = Occurrence & { readonly tapId: string };

/** Records of grants that nobody used; with the record, what holds only of a grant that is used is as before. */
export class Passages {
  readonly #memory: AccessMemory;
  readonly #journal: JournalWriter;
  readonly #waiting = new Set<OfTap>();

  constructor(parts: { readonly memory: AccessMemory; readonly journal: JournalWriter }) {
    this.#memory = parts.memory;
    this.#journal = parts.journal;
  }

  /** Notes `occurrence`, once what other taps are changing is settled; never throws, never waits. */
  notPassed(occurrence: OfTap, unused: Unused): void {
    const facts = this.#memory.notPassed(occurrence.tapId, unused);
    if (!(facts instanceof Promise)) {
      this.#journal.note({ ...occurrence, facts });
      return;
    }
    this.#waiting.add(occurrence);
    void facts.then(() => {
      if (this.#waiting.delete(occurrence)) this.notPassed(occurrence, unused);
    });
  }

  /** Notes what still waits; who was let through then counts as having passed, as after a crash. */
  stop(): void {
    for (const occurrence of this.#waiting) this.#journal.note(occurrence);
    this.#waiting.clear();
  }
}
