import type { PolicySlice, PolicyVersion } from '#core/access/policy.ts';
import { Fault } from '#core/fault.ts';
import type { ClaimQuery, PolicyLookup, PolicyQuery } from '#ports/policy-lookup.ts';
import type { PolicyWorkerOffer } from './policy-worker.ts';
import { LinkedWorker } from './worker-link.ts';

const answerWithinMs = 5_000;

/**
 * Looks up the policy database `file` in a thread of its own. The file need not exist yet; an import by another
 * process is seen by the next look-up, whole.
 */
export class PolicyStore implements PolicyLookup {
  readonly #file: string;
  #worker: LinkedWorker<PolicyWorkerOffer> | undefined;

  constructor(parts: { readonly file: string }) {
    this.#file = parts.file;
  }

  async start(): Promise<void> {
    if (this.#worker) throw new Error('the policy is started already');
    const worker = new LinkedWorker<PolicyWorkerOffer>(new URL('./policy-worker.ts', import.meta.url));
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

  async slice(query: PolicyQuery): Promise<PolicySlice> {
    return this.#link().call('slice', query, answerWithinMs);
  }

  async sliceOfClaim(query: ClaimQuery): Promise<PolicySlice | undefined> {
    return this.#link().call('sliceOfClaim', query, answerWithinMs);
  }

  async version(): Promise<PolicyVersion | undefined> {
    return this.#link().call('version', undefined, answerWithinMs);
  }

  #link(): LinkedWorker<PolicyWorkerOffer>['link'] {
    if (!this.#worker) throw new Fault('process-lost', 'the policy is not open');
    return this.#worker.link;
  }
}
