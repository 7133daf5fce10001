import { Fault } from '#core/fault.ts';
import type { ChainPosition } from '#core/sync/journal-batch.ts';
import type { LiveEvent } from '#core/sync/live-events.ts';
import type {
  BatchRequest,
  JournalOutbox,
  LiveRequest,
  LocatedPosition,
  OutboxExtent,
  OutgoingBatch,
} from '#ports/journal-outbox.ts';
import type { JournalOutboxOffer } from './journal-outbox-worker.ts';
import { LinkedWorker } from './worker-link.ts';

const answerWithinMs = 60_000;

/** Reads the journal database `file` for the server, in a thread of its own. */
export class JournalOutboxStore implements JournalOutbox {
  readonly #file: string;
  #worker: LinkedWorker<JournalOutboxOffer> | undefined;

  constructor(parts: { readonly file: string }) {
    this.#file = parts.file;
  }

  async start(): Promise<void> {
    if (this.#worker) throw new Error('the outbox is started already');
    const worker = new LinkedWorker<JournalOutboxOffer>(
      new URL('./journal-outbox-worker.ts', import.meta.url),
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

  async extent(): Promise<OutboxExtent> {
    return this.#link().call('extent', undefined, answerWithinMs);
  }

  async locate(
    position: ChainPosition,
    signedThrough: number,
    signed: number,
  ): Promise<LocatedPosition | undefined> {
    return this.#link().call('locate', { position, signedThrough, signed }, answerWithinMs);
  }

  async batch(request: BatchRequest): Promise<OutgoingBatch | undefined> {
    return this.#link().call('batch', request, answerWithinMs);
  }

  async live(request: LiveRequest): Promise<readonly LiveEvent[]> {
    return this.#link().call('live', request, answerWithinMs);
  }

  #link(): LinkedWorker<JournalOutboxOffer>['link'] {
    if (!this.#worker) throw new Fault('file-unreadable', `${this.#file} is not open`);
    return this.#worker.link;
  }
}
