import type { DoorPolicy, DoorRules, PolicyVersion } from '#core/access/policy.ts';
import { Fault } from '#core/fault.ts';
import type { ClaimQuery, LookedUp, PolicyLookup, PolicyQuery } from '#ports/policy-lookup.ts';
import type { LookUpAnswer, PolicyWorkerOffer, SentRules } from './policy-worker.ts';
import { LinkedWorker } from './worker-link.ts';

const answerWithinMs = 5_000;

/**
 * Looks up the policy database `file`, and the facts of holders in the database `journal`, in a thread of its own.
 * Neither need exist yet; an import by another process is seen by the next look-up, whole.
 */
export class PolicyStore implements PolicyLookup {
  readonly #files: { readonly file: string; readonly journal: string };
  #worker: LinkedWorker<PolicyWorkerOffer> | undefined;
  /** by door id */
  readonly #rules = new Map<string, { readonly number: number; readonly rules: DoorRules }>();

  constructor(parts: { readonly file: string; readonly journal: string }) {
    this.#files = parts;
  }

  async start(): Promise<void> {
    if (this.#worker) throw new Error('the policy is started already');
    const worker = new LinkedWorker<PolicyWorkerOffer>(new URL('./policy-worker.ts', import.meta.url));
    try {
      await worker.link.call('open', this.#files, answerWithinMs);
      this.#worker = worker;
    } catch (error) {
      await worker.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    this.#rules.clear();
    await worker?.stop();
  }

  async lookUp(query: PolicyQuery): Promise<LookedUp> {
    const known = this.#rules.get(query.doorId);
    const asked = { query, rulesNumber: known?.number };
    return this.#complete(query.doorId, await this.#link().call('lookUp', asked, answerWithinMs), known);
  }

  async lookUpClaim(query: ClaimQuery): Promise<LookedUp | undefined> {
    const known = this.#rules.get(query.doorId);
    const asked = { query, rulesNumber: known?.number };
    const answer = await this.#link().call('lookUpClaim', asked, answerWithinMs);
    return answer && this.#complete(query.doorId, answer, known);
  }

  async doorPolicy(doorId: string): Promise<DoorPolicy | undefined> {
    const known = this.#rules.get(doorId);
    const asked = { query: { doorId }, rulesNumber: known?.number };
    const answer = await this.#link().call('doorPolicy', asked, answerWithinMs);
    return answer && { version: answer.version, rules: this.#rulesOf(doorId, answer, known) };
  }

  async version(): Promise<PolicyVersion | undefined> {
    return this.#link().call('version', undefined, answerWithinMs);
  }

  #link(): LinkedWorker<PolicyWorkerOffer>['link'] {
    if (!this.#worker) throw new Fault('process-lost', 'the policy is not open');
    return this.#worker.link;
  }

  #complete(
    doorId: string,
    { slice, facts, ...sent }: LookUpAnswer,
    known: { readonly rules: DoorRules } | undefined,
  ): LookedUp {
    return { slice: { ...slice, rules: this.#rulesOf(doorId, sent, known) }, facts };
  }

  #rulesOf(
    doorId: string,
    { rules: sent, rulesNumber }: SentRules,
    known: { readonly rules: DoorRules } | undefined,
  ): DoorRules {
    if (sent) this.#rules.set(doorId, { number: rulesNumber, rules: sent });
    const rules = sent ?? known?.rules;
    if (!rules) throw new Error('the rules of a door are missing in an answer');
    return rules;
  }
}
