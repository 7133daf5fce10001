import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { type Fault, type FaultRecord, fromFaultRecord } from '#core/fault.ts';
import type { IssuanceConfig } from './config.ts';

/** What the thread is told: that there is something to do, or to end. */
export type BulkMessage = 'look' | 'stop';

export interface BulkWorkerData {
  readonly config: Pick<IssuanceConfig, 'database' | 'stateDirectory'>;
  /** how often it looks for itself what is due */
  readonly lookEveryMs: number;
}

export interface BulkWorkParts extends BulkWorkerData {
  readonly onFault: (fault: Fault) => void;
  /** a bug ended the thread */
  readonly onEnd: (error: unknown) => void;
}

/** The thread in which lists are read and changes come into force, so that requests never wait for either. */
export class BulkWork {
  readonly #parts: BulkWorkParts;
  #worker: Worker | undefined;

  constructor(parts: BulkWorkParts) {
    this.#parts = parts;
  }

  start(): void {
    const { config, lookEveryMs, onFault, onEnd } = this.#parts;
    const workerData: BulkWorkerData = { config, lookEveryMs };
    const worker = new Worker(new URL('./bulk-worker.ts', import.meta.url), { workerData });
    worker.on('message', (record: FaultRecord) => onFault(fromFaultRecord(record)));
    worker.once('error', onEnd);
    this.#worker = worker;
  }

  /** There is something to do now. */
  look(): void {
    this.#worker?.postMessage('look' satisfies BulkMessage);
  }

  /** Lets the step under way end. */
  async stop(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    if (!worker) return;
    const ended = once(worker, 'exit');
    worker.postMessage('stop' satisfies BulkMessage);
    await ended;
  }
}
