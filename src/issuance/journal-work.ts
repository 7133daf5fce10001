import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { copyOf } from '#core/bytes/bytes.ts';
import { Fault, type FaultRecord, fromFaultRecord } from '#core/fault.ts';
import type { IssuanceConfig } from './config.ts';
import type { Committed, SentBatch } from './journal/batch-storing.ts';
import type { ErasedPersonal } from './journal/letting-go.ts';

export interface JournalWorkParts extends JournalWorkerData {
  /** what was older than the rule of an organization is gone */
  readonly letGo: (organization: string, gone: ErasedPersonal) => void;
  /** nothing was let go of: the clock of this machine was set to another time within the last day */
  readonly clockMoved: () => void;
  readonly onFault: (organization: string, fault: Fault) => void;
}

export interface JournalWorkerData {
  readonly config: Pick<IssuanceConfig, 'database' | 'stateDirectory'>;
  /** each entry with the id of a tap is told */
  readonly traced: boolean;
}

/** What the thread is told: batches of one organization to store, or to end. */
export type JournalTask =
  | { readonly id: number; readonly organization: string; readonly batches: readonly SentBatch[] }
  | 'stop';

export type JournalResult =
  | { readonly id: number; readonly kind: 'committed'; readonly committed: Committed }
  | { readonly id: number; readonly kind: 'ended'; readonly fault?: FaultRecord }
  | ({ readonly kind: 'let-go'; readonly organization: string } & ErasedPersonal)
  | { readonly kind: 'clock-moved' }
  | { readonly kind: 'not-let-go'; readonly organization: string; readonly fault: FaultRecord };

interface Waiting {
  readonly committed: (committed: Committed) => void;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** The thread in which journals of terminals are checked and stored, so that nobody else waits for either. */
export class JournalWork {
  readonly #parts: JournalWorkParts;
  #worker: Worker | undefined;
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;

  constructor(parts: JournalWorkParts) {
    this.#parts = parts;
  }

  /** Begins, unless it has begun: from then on what is too old is let go of. */
  start(): void {
    this.#worker ??= this.#begin();
  }

  /**
   * Stores batches, and tells each commit. Rejects with database faults, and with `process-lost` where the thread ended:
   * the next call begins another one.
   */
  store(
    organization: string,
    batches: readonly SentBatch[],
    committed: (committed: Committed) => void,
  ): Promise<void> {
    const worker = this.#worker ?? this.#begin();
    this.#worker = worker;
    this.#last += 1;
    const id = this.#last;
    // each with memory of its own: it is a part of what the broker's connection has read
    const own = batches.map(({ terminal, payload }) => ({ terminal, payload: copyOf(payload) }));
    worker.postMessage(
      { id, organization, batches: own } satisfies JournalTask,
      own.map(({ payload }) => payload.buffer as ArrayBuffer),
    );
    return new Promise((resolve, reject) => this.#waiting.set(id, { committed, resolve, reject }));
  }

  /** Lets the commit under way end. */
  async stop(): Promise<void> {
    const worker = this.#worker;
    if (!worker) return;
    const ended = once(worker, 'exit');
    worker.postMessage('stop' satisfies JournalTask);
    await ended;
  }

  #begin(): Worker {
    const { config, traced } = this.#parts;
    const workerData: JournalWorkerData = { config, traced };
    const worker = new Worker(new URL('./journal-worker.ts', import.meta.url), { workerData });
    let cause: unknown;
    worker.on('message', (result: JournalResult) => this.#take(result));
    worker.once('error', (error) => {
      cause = error;
    });
    worker.once('exit', () => {
      this.#worker = undefined;
      const fault = new Fault('process-lost', 'the thread that stores journals ended', { cause });
      for (const { reject } of this.#waiting.values()) reject(fault);
      this.#waiting.clear();
    });
    return worker;
  }

  #take(result: JournalResult): void {
    const { letGo, clockMoved, onFault } = this.#parts;
    if (result.kind === 'clock-moved') return clockMoved();
    if (result.kind === 'let-go') return letGo(result.organization, result);
    if (result.kind === 'not-let-go') return onFault(result.organization, fromFaultRecord(result.fault));
    const waiting = this.#waiting.get(result.id);
    if (result.kind === 'committed') {
      waiting?.committed(result.committed);
      return;
    }
    this.#waiting.delete(result.id);
    if (result.fault) waiting?.reject(fromFaultRecord(result.fault));
    else waiting?.resolve();
  }
}
