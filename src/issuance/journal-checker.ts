import { Worker } from 'node:worker_threads';
import {
  type CheckResult,
  type CheckSent,
  type PackedResult,
  unpackResult,
} from './journal/batch-checking.ts';

/** A batch to check; answers come in the order of the tasks. */
export interface CheckTask {
  readonly from: Parameters<CheckSent>[0];
  readonly payload: Uint8Array;
  readonly keys: Parameters<CheckSent>[2];
}

/** The thread in which batches are checked while others are stored. A bug in it ends the thread that uses it. */
export class JournalChecker {
  #worker: Worker | undefined;
  readonly #waiting: ((result: CheckResult) => void)[] = [];

  start(): void {
    this.#worker = new Worker(new URL('./journal-check-worker.ts', import.meta.url));
    this.#worker.on('message', (packed: PackedResult) => this.#waiting.shift()?.(unpackResult(packed)));
  }

  readonly check: CheckSent = (from, payload, keys) => {
    const task: CheckTask = { from, payload, keys };
    this.#worker?.postMessage(task, [payload.buffer as ArrayBuffer]);
    return new Promise((resolve) => this.#waiting.push(resolve));
  };

  async stop(): Promise<void> {
    await this.#worker?.terminate();
  }
}
