import type { Logger } from 'pino';
import { isFault } from '#core/fault.ts';
import type { KeyErasure } from '#ports/key-erasure.ts';
import type { JournalWriter } from './journal-writer.ts';

/** What the terminal does when somebody opens its housing: no key stays. What came of it is recorded. */
export class TamperAnswer {
  readonly #keyErasure: KeyErasure | undefined;
  readonly #journal: JournalWriter;
  readonly #log: Logger;
  #erasing: Promise<unknown> = Promise.resolve();

  constructor(parts: { keyErasure: KeyErasure | undefined; journal: JournalWriter; log: Logger }) {
    this.#keyErasure = parts.keyErasure;
    this.#journal = parts.journal;
    this.#log = parts.log;
  }

  /** The tamper input of `doorId` was raised. */
  opened(doorId: string): void {
    this.#erasing = Promise.all([this.#erasing, this.#erase(doorId)]);
  }

  /** Resolves when every erasure begun by then has ended, and is recorded. */
  async settled(): Promise<void> {
    await this.#erasing;
  }

  async #erase(door: string): Promise<void> {
    if (!this.#keyErasure) return;
    try {
      await this.#keyErasure.erase();
      this.#log.error({ door }, 'tamper: the keys of this terminal have been erased');
      this.#journal.note({ kind: 'alarm', body: { door, alarm: 'keys-erased', on: true } });
    } catch (error) {
      this.#log.fatal({ door, err: error }, 'tamper: stored keys could not be destroyed');
      const fault = isFault(error) ? error.code : 'key-unavailable';
      this.#journal.note({ kind: 'alarm', body: { door, alarm: 'keys-not-erased', on: true, fault } });
    }
  }
}
