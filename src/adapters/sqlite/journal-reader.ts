import { Fault } from '#core/fault.ts';
import type { JournalHead } from '#core/journal/record.ts';
import type { JournalItem } from '#core/journal/verify.ts';
import type { JournalQuery, JournalRead, JournalView } from '#ports/journal-read.ts';
import type { JournalReaderOffer } from './journal-reader-worker.ts';
import { LinkedWorker } from './worker-link.ts';

/** a list over a long journal on a slow disk */
const answerWithinMs = 120_000;

/** Reads the journal database `file` in a thread of its own; never holds up its writer. */
export class JournalReader implements JournalRead {
  readonly #file: string;
  #worker: LinkedWorker<JournalReaderOffer> | undefined;

  constructor(parts: { readonly file: string }) {
    this.#file = parts.file;
  }

  async start(): Promise<void> {
    if (this.#worker) throw new Error('the journal reader is started already');
    const worker = new LinkedWorker<JournalReaderOffer>(
      new URL('./journal-reader-worker.ts', import.meta.url),
    );
    try {
      await worker.link.call('open', this.#file, answerWithinMs);
      this.#worker = worker;
    } catch (error) {
      await worker.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.stop();
  }

  async head(): Promise<JournalHead | undefined> {
    return this.#link().call('head', undefined, answerWithinMs);
  }

  async list(query: JournalQuery): Promise<readonly JournalView[]> {
    return this.#link().call('list', query, answerWithinMs);
  }

  async *items(): AsyncIterable<JournalItem> {
    yield* await this.#link().call('keys', undefined, answerWithinMs);
    for (let after: number | undefined = 0; after !== undefined; ) {
      const page: { items: readonly JournalItem[]; next?: number | undefined } = await this.#link().call(
        'page',
        after,
        answerWithinMs,
      );
      yield* page.items;
      after = page.next;
    }
  }

  #link(): LinkedWorker<JournalReaderOffer>['link'] {
    if (!this.#worker) throw new Fault('file-unreadable', `${this.#file} is not open`);
    return this.#worker.link;
  }
}
