import type { Facts } from '#core/access/access-state.ts';
import type { DoorRules, PolicySlice, PolicyVersion } from '#core/access/policy.ts';
import type { Manifest } from '#core/sync/manifest.ts';
import type { SignedState } from '#core/sync/progress.ts';
import type { ClaimQuery, PolicyQuery } from '#ports/policy-lookup.ts';
import { areSame } from './distributed-format.ts';
import { FactsReader } from './facts.ts';
import { PolicyReader } from './policy-reader.ts';
import { linkToMain } from './worker-link.ts';

/** The thread that looks up the policy, and the facts of the holders that it finds there. */

/** The rules of a door, left out where the asker has them: they are many, and the same at each tap. */
export interface SentRules {
  readonly rulesNumber: number;
  readonly rules?: DoorRules;
}

export interface LookUpAnswer extends SentRules {
  readonly slice: Omit<PolicySlice, 'rules'>;
  readonly facts: Facts;
}

interface DoorPolicyAnswer extends SentRules {
  readonly version: PolicyVersion;
}

interface Asked<Query> {
  readonly query: Query;
  /** number of the rules of this door that the asker has */
  readonly rulesNumber: number | undefined;
}

/** What a policy from a server says, once somebody has vouched for it: this thread verifies hashes, and no signatures. */
export interface Vouched {
  readonly document: Uint8Array;
  readonly manifest: Manifest;
}

/** An answer, or the manifest that lies there now and is to be vouched for first. */
export type Answer<T> = Answered<T> | { readonly unvouched: Uint8Array };
export interface Answered<T> {
  readonly answer: T;
  /** of a policy that a server distributes */
  readonly signed?: SignedState;
}

export type PolicyWorkerOffer = {
  readonly open: (parts: PolicyFiles) => void;
  readonly vouch: (vouched: Vouched) => void;
  readonly lookUp: (asked: Asked<PolicyQuery>) => Answer<LookUpAnswer>;
  readonly lookUpClaim: (asked: Asked<ClaimQuery>) => Answer<LookUpAnswer | undefined>;
  readonly doorPolicy: (asked: Asked<{ readonly doorId: string }>) => Answer<DoorPolicyAnswer | undefined>;
  readonly version: (nothing: undefined) => Answer<PolicyVersion | undefined>;
};

export interface PolicyFiles {
  readonly file: string;
  readonly journal: string;
  /** whether only what a server has signed counts */
  readonly signed: boolean;
}

class Unvouched extends Error {
  readonly document: Uint8Array;

  constructor(document: Uint8Array) {
    super('a manifest nobody has vouched for');
    this.document = document;
  }
}

let reader: PolicyReader | undefined;
let vouched: Vouched | undefined;
let factsReader: FactsReader | undefined;
const numbers = new WeakMap<DoorRules, number>();
let lastNumber = 0;

function opened(): PolicyReader {
  if (!reader) throw new Error('the policy is not open');
  return reader;
}

function answer({ rules, ...slice }: PolicySlice, known: number | undefined): LookUpAnswer {
  const facts: Facts = (slice.holder && factsReader?.of(slice.holder.holderId)) ?? new Map();
  return { slice, facts, ...sent(rules, known) };
}

function sent(rules: DoorRules, known: number | undefined): SentRules {
  const rulesNumber = numberOf(rules);
  return rulesNumber === known ? { rulesNumber } : { rulesNumber, rules };
}

/** The reader arranges the rules of a door once a version, so each version's are an object of their own. */
function numberOf(rules: DoorRules): number {
  let number = numbers.get(rules);
  if (number === undefined) {
    lastNumber += 1;
    number = lastNumber;
    numbers.set(rules, number);
  }
  return number;
}

function vouchedManifest(document: Uint8Array): Manifest {
  if (!vouched || !areSame(vouched.document, document)) throw new Unvouched(document);
  return vouched.manifest;
}

function answered<T>(look: () => T): Answer<T> {
  try {
    const answer = look();
    if (!vouched) return { answer };
    const { rootVersion, version, changeNumber } = vouched.manifest;
    return { answer, signed: { rootVersion, version, changeNumber } };
  } catch (error) {
    if (error instanceof Unvouched) return { unvouched: error.document };
    throw error;
  }
}

const offer: PolicyWorkerOffer = {
  open: ({ file, journal, signed }) => {
    reader = new PolicyReader(file, signed ? { vouch: vouchedManifest } : {});
    factsReader = new FactsReader(journal);
    // a database that is damaged or newer is told at start, not at the first tap
    answered(() => opened().version());
  },
  vouch: (one) => {
    vouched = one;
  },
  lookUp: ({ query, rulesNumber }) => answered(() => answer(opened().slice(query), rulesNumber)),
  lookUpClaim: ({ query, rulesNumber }) =>
    answered(() => {
      const slice = opened().sliceOfClaim(query);
      return slice && answer(slice, rulesNumber);
    }),
  doorPolicy: ({ query, rulesNumber }) =>
    answered(() => {
      const policy = opened().doorPolicy(query.doorId);
      return policy && { version: policy.version, ...sent(policy.rules, rulesNumber) };
    }),
  version: () => answered(() => opened().version()),
};

linkToMain(offer);
