import type { Facts } from '#core/access/access-state.ts';
import type { RollCall } from '#core/sync/command.ts';
import type { FactQuery, HolderFacts, StoredFact } from '#ports/holder-facts.ts';
import { isBlank } from './database.ts';
import type { JournalReaderOffer } from './journal-reader-worker.ts';
import { LinkedWorker } from './worker-link.ts';

/** a roll call reads every fact there is, perhaps on a slow disk */
const answerWithinMs = 60_000;

/**
 * Reads facts of holders from the journal `file`, in a thread that is there only while it is asked: operators ask
 * seldom, and an idle thread costs memory.
 */
export class HolderFactsStore implements HolderFacts {
  readonly #file: string;
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: { readonly file: string }) {
    this.#file = parts.file;
  }

  of(holderId: string): Promise<Facts> {
    return this.#ask(new Map(), (link) => link.call('factsOf', holderId, answerWithinMs));
  }

  whereabouts(zone?: string): Promise<RollCall> {
    return this.#ask([], (link) => link.call('whereabouts', zone, answerWithinMs));
  }

  page(query: FactQuery): Promise<readonly StoredFact[]> {
    return this.#ask([], (link) => link.call('facts', query, answerWithinMs));
  }

  /** One question after the other: many at once start no crowd of threads. */
  #ask<T>(none: T, question: (link: LinkedWorker<JournalReaderOffer>['link']) => Promise<T>): Promise<T> {
    const answer = this.#last.then(async () => {
      if (isBlank(this.#file)) return none;
      const worker = new LinkedWorker<JournalReaderOffer>(
        new URL('./journal-reader-worker.ts', import.meta.url),
      );
      try {
        await worker.link.call('open', this.#file, answerWithinMs);
        return await question(worker.link);
      } finally {
        await worker.stop();
      }
    });
    this.#last = answer.catch(() => undefined);
    return answer;
  }
}
