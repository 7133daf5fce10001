import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { FaultRecord } from '#core/fault.ts';
import type { IssuanceConfig } from './config.ts';

/** What the thread is told: that there is something to do, or to end. */
export type BulkMessage = 'look' | 'stop';

/** What the thread tells: a Fault, or the stack of a bug; the work of no other organization ends for it. */
export interface BulkReport {
  readonly organization?: string;
  readonly fault?: FaultRecord;
  readonly bug?: string;
  /** an organization whose terminals are to have another policy from now on */
  readonly sealed?: string;
}

export interface BulkWorkerData {
  readonly config: Pick<IssuanceConfig, 'database' | 'stateDirectory'>;
  /** how often it looks for itself what is due */
  readonly lookEveryMs: number;
}

export interface BulkWorkParts extends BulkWorkerData {
  readonly onReport: (report: BulkReport) => void;
  /** a bug outside the work of any organization ended the thread */
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
    const { config, lookEveryMs, onReport, onEnd } = this.#parts;
    const workerData: BulkWorkerData = { config, lookEveryMs };
    const worker = new Worker(new URL('./bulk-worker.ts', import.meta.url), { workerData });
    worker.on('message', onReport);
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
