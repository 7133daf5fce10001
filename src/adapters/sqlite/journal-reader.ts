import { Fault } from '#core/fault.ts';
import type { JournalHead } from '#core/journal/record.ts';
import type { JournalItem } from '#core/journal/verify.ts';
import type { JournalQuery, JournalRead, JournalView } from '#ports/journal-read.ts';
import type { JournalReaderOffer } from './journal-reader-worker.ts';
import { StoreWorker } from './worker-link.ts';

/** a list over a long journal on a slow disk */
const answerWithinMs = 120_000;

/** Reads the journal database `file` in a thread of its own; never holds up its writer. */
export class JournalReader implements JournalRead {
  readonly #file: string;
  readonly #worker: StoreWorker<JournalReaderOffer>;

  constructor(parts: { readonly file: string }) {
    this.#file = parts.file;
    this.#worker = new StoreWorker({
      module: new URL('./journal-reader-worker.ts', import.meta.url),
      notOpen: () => new Fault('file-unreadable', `${parts.file} is not open`),
    });
  }

  start(): Promise<void> {
    return this.#worker.start((link) => link.call('open', this.#file, answerWithinMs));
  }

  stop(): Promise<void> {
    return this.#worker.stop();
  }

  async head(): Promise<JournalHead | undefined> {
    return this.#worker.link().call('head', undefined, answerWithinMs);
  }

  async list(query: JournalQuery): Promise<readonly JournalView[]> {
    return this.#worker.link().call('list', query, answerWithinMs);
  }

  async *items(): AsyncIterable<JournalItem> {
    yield* await this.#worker.link().call('keys', undefined, answerWithinMs);
    for (let after: number | undefined = 0; after !== undefined; ) {
      const page: { items: readonly JournalItem[]; next?: number | undefined } = await this.#worker
        .link()
        .call('page', after, answerWithinMs);
      yield* page.items;
      after = page.next;
    }
  }
}
