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
import { StoreWorker } from './worker-link.ts';

const answerWithinMs = 60_000;

/** Reads the journal database `file` for the server, in a thread of its own. */
export class JournalOutboxStore implements JournalOutbox {
  readonly #file: string;
  readonly #worker: StoreWorker<JournalOutboxOffer>;

  constructor(parts: { readonly file: string }) {
    this.#file = parts.file;
    this.#worker = new StoreWorker({
      module: new URL('./journal-outbox-worker.ts', import.meta.url),
      notOpen: () => new Fault('file-unreadable', `${parts.file} is not open`),
    });
  }

  start(): Promise<void> {
    return this.#worker.start((link) => link.call('open', this.#file, answerWithinMs));
  }

  stop(): Promise<void> {
    return this.#worker.stop();
  }

  async extent(): Promise<OutboxExtent> {
    return this.#worker.link().call('extent', undefined, answerWithinMs);
  }

  async locate(
    position: ChainPosition,
    signedThrough: number,
    signed: number,
  ): Promise<LocatedPosition | undefined> {
    return this.#worker.link().call('locate', { position, signedThrough, signed }, answerWithinMs);
  }

  async batch(request: BatchRequest): Promise<OutgoingBatch | undefined> {
    return this.#worker.link().call('batch', request, answerWithinMs);
  }

  async live(request: LiveRequest): Promise<readonly LiveEvent[]> {
    return this.#worker.link().call('live', request, answerWithinMs);
  }
}
