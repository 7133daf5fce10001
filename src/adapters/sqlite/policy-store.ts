import type { DoorPolicy, DoorRules, PolicyVersion } from '#core/access/policy.ts';
import { Fault, isFault } from '#core/fault.ts';
import type { SignedState } from '#core/sync/progress.ts';
import type { ClaimQuery, LookedUp, PolicyLookup, PolicyQuery } from '#ports/policy-lookup.ts';
import type { PolicyTrust } from '#ports/policy-trust.ts';
import type { Answer, Answered, LookUpAnswer, PolicyWorkerOffer, SentRules } from './policy-worker.ts';
import { StoreWorker } from './worker-link.ts';

type PolicyLink = ReturnType<StoreWorker<PolicyWorkerOffer>['link']>;

const answerWithinMs = 5_000;
/** a busy device starts its threads slowly; what limits the start as a whole is the unit */
const openWithinMs = 600_000;

/** how often a manifest may change between being vouched for and being used */
const vouchesAtOnce = 3;

/**
 * Looks up the policy database `file`, and the facts of holders in the database `journal`, in a thread of its own.
 * Neither need exist yet; what another thread or process installs is seen by the next look-up, whole. With `trust` only
 * what it vouches for counts: look-ups reject with `policy-altered` otherwise.
 */
export class PolicyStore implements PolicyLookup {
  readonly #files: { readonly file: string; readonly journal: string };
  readonly #trust: PolicyTrust | undefined;
  readonly #worker = new StoreWorker<PolicyWorkerOffer>({
    module: new URL('./policy-worker.ts', import.meta.url),
    notOpen: () => new Fault('process-lost', 'the policy is not open'),
  });
  /** by door id */
  readonly #rules = new Map<string, { readonly number: number; readonly rules: DoorRules }>();

  constructor(parts: {
    readonly file: string;
    readonly journal: string;
    readonly trust?: PolicyTrust | undefined;
  }) {
    this.#files = { file: parts.file, journal: parts.journal };
    this.#trust = parts.trust;
  }

  start(): Promise<void> {
    const files = { ...this.#files, signed: this.#trust !== undefined };
    return this.#worker.start((link) => link.call('open', files, openWithinMs));
  }

  async stop(): Promise<void> {
    this.#rules.clear();
    await this.#worker.stop();
  }

  async lookUp(query: PolicyQuery): Promise<LookedUp> {
    const known = this.#rules.get(query.doorId);
    const asked = { query, rulesNumber: known?.number };
    const told = await this.#ask((link) => link.call('lookUp', asked, answerWithinMs));
    return this.#complete(query.doorId, told.answer, known, told.signed);
  }

  async lookUpClaim(query: ClaimQuery): Promise<LookedUp | undefined> {
    const known = this.#rules.get(query.doorId);
    const asked = { query, rulesNumber: known?.number };
    const { answer, signed } = await this.#ask((link) => link.call('lookUpClaim', asked, answerWithinMs));
    return answer && this.#complete(query.doorId, answer, known, signed);
  }

  async doorPolicy(doorId: string): Promise<DoorPolicy | undefined> {
    const known = this.#rules.get(doorId);
    const asked = { query: { doorId }, rulesNumber: known?.number };
    const { answer } = await this.#ask((link) => link.call('doorPolicy', asked, answerWithinMs));
    return answer && { version: answer.version, rules: this.#rulesOf(doorId, answer, known) };
  }

  async version(): Promise<PolicyVersion | undefined> {
    return (await this.#ask((link) => link.call('version', undefined, answerWithinMs))).answer;
  }

  /** What is found not to be as signed is told, whatever the question was. */
  async #ask<T>(ask: (link: PolicyLink) => Promise<Answer<T>>): Promise<Answered<T>> {
    try {
      return await this.#askVouched(ask);
    } catch (error) {
      if (isFault(error, 'policy-altered')) this.#trust?.found(error);
      throw error;
    }
  }

  /** Asks until what lies there has been vouched for; it can be another by then. */
  async #askVouched<T>(ask: (link: PolicyLink) => Promise<Answer<T>>): Promise<Answered<T>> {
    for (let vouches = 0; vouches <= vouchesAtOnce; vouches += 1) {
      // another version may come in force while the answer is under way
      const reached = this.#trust?.reached();
      const told = await ask(this.#worker.link());
      if ('answer' in told) {
        if (told.signed && reached) this.#trust?.checkCurrent(told.signed, reached);
        return told;
      }
      const document = told.unvouched;
      const manifest = this.#trust?.vouch(document);
      if (!manifest) break;
      await this.#worker.link().call('vouch', { document, manifest }, answerWithinMs);
    }
    throw new Fault('deadline-exceeded', 'the policy changes faster than it can be verified');
  }

  #complete(
    doorId: string,
    { slice, facts, ...sent }: LookUpAnswer,
    known: { readonly rules: DoorRules } | undefined,
    signed: SignedState | undefined,
  ): LookedUp {
    const rules = this.#rulesOf(doorId, sent, known);
    const revised = signed && this.#trust ? this.#trust.revised(slice, signed) : slice;
    return { slice: { ...revised, rules }, facts };
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
