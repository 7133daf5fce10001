import { parentPort, Worker } from 'node:worker_threads';
import { Link, type Offer } from '#adapters/process/link.ts';
import { Fault } from '#core/fault.ts';

/**
 * A worker thread with a link to it; the disk is waited for there, never on the thread that serves taps. A thread that
 * ends by itself is a bug, and ends the process: a terminal that can decide or record nothing is of no use, and its
 * restart brings everything back with the doors locked.
 */
export class LinkedWorker<Remote extends Offer> {
  readonly #worker: Worker;
  readonly #ended: Promise<void>;
  readonly link: Link<Remote>;
  #stopping = false;

  /** Starts `module` (absolute URL) in a thread. */
  constructor(module: URL) {
    const worker = new Worker(module);
    this.#worker = worker;
    this.link = new Link<Remote>({ send: (message) => worker.postMessage(message) }, {});
    worker.on('message', (message) => this.link.receive(message));
    let failure: unknown;
    worker.on('error', (error) => {
      failure = error;
    });
    this.#ended = new Promise((resolve) => {
      worker.once('exit', () => {
        const fault = new Fault('process-lost', 'the thread of the database ended', { cause: failure });
        this.link.close(fault);
        resolve();
        if (!this.#stopping) throw fault;
      });
    });
  }

  /** Ends the thread; what it has open is closed with it. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#worker.terminate();
    await this.#ended;
  }
}

/** A thread of a store, from its start, when it opens its database, to its stop. */
export class StoreWorker<Remote extends Offer> {
  readonly #module: URL;
  readonly #notOpen: () => Fault;
  #worker: LinkedWorker<Remote> | undefined;

  /** `module` (absolute URL) runs in the thread; `notOpen` is thrown at whoever asks while it does not run. */
  constructor(parts: { readonly module: URL; readonly notOpen: () => Fault }) {
    this.#module = parts.module;
    this.#notOpen = parts.notOpen;
  }

  /** Starts the thread, which ends again where `open` rejects. */
  async start(open: (link: Link<Remote>) => Promise<unknown>): Promise<void> {
    if (this.#worker) throw new Error('the thread of the database is started already');
    const worker = new LinkedWorker<Remote>(this.#module);
    try {
      await open(worker.link);
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

  /** Throws the fault of a store that is not open. */
  link(): Link<Remote> {
    if (!this.#worker) throw this.#notOpen();
    return this.#worker.link;
  }
}

/** The worker's end. */
export function linkToMain(offer: Offer): void {
  const port = parentPort;
  if (!port) throw new Error('this module runs only as a worker thread');
  const link = new Link<Record<string, never>>({ send: (message) => port.postMessage(message) }, offer);
  port.on('message', (message) => link.receive(message));
}
