import type { JournalEntryView } from '#web/site/api.ts';
import type { JournalPages } from './site-parts.ts';

/** entries a page gets to begin with */
const latestEntries = 60;

/** Reads the journal behind its growing head and hands out each entry once, in order. */
export class JournalFollower {
  readonly #journal: JournalPages;
  readonly #appeared: (entry: JournalEntryView) => void;
  readonly #failed: (error: unknown) => void;
  readonly #latest: JournalEntryView[] = [];
  #head = 0;
  #read = 0;
  #reading = false;

  /** `failed` hears of a read that went wrong; the next growth of the journal tries again. */
  constructor(parts: {
    journal: JournalPages;
    appeared: (entry: JournalEntryView) => void;
    failed: (error: unknown) => void;
  }) {
    this.#journal = parts.journal;
    this.#appeared = parts.appeared;
    this.#failed = parts.failed;
  }

  /** The newest entries, oldest first. */
  latest(): readonly JournalEntryView[] {
    return [...this.#latest];
  }

  /** The journal has grown to `position`. */
  follow(position: number): void {
    this.#head = Math.max(this.#head, position);
    if (!this.#reading) void this.#catchUp();
  }

  async #catchUp(): Promise<void> {
    this.#reading = true;
    try {
      if (this.#read === 0) this.#read = Math.max(0, this.#head - latestEntries);
      while (this.#read < this.#head) {
        const entries = await this.#journal.after(this.#read, latestEntries);
        for (const entry of entries) this.#take(entry);
        if (entries.length === 0) break;
      }
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#reading = false;
    }
  }

  #take(entry: JournalEntryView): void {
    this.#read = entry.position;
    this.#latest.push(entry);
    if (this.#latest.length > latestEntries) this.#latest.shift();
    this.#appeared(entry);
  }
}
