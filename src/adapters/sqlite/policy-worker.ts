import type { Facts } from '#core/access/access-state.ts';
import type { DoorRules, PolicySlice, PolicyVersion } from '#core/access/policy.ts';
import type { ClaimQuery, PolicyQuery } from '#ports/policy-lookup.ts';
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

export type PolicyWorkerOffer = {
  readonly open: (files: { readonly file: string; readonly journal: string }) => void;
  readonly lookUp: (asked: Asked<PolicyQuery>) => LookUpAnswer;
  readonly lookUpClaim: (asked: Asked<ClaimQuery>) => LookUpAnswer | undefined;
  readonly doorPolicy: (asked: Asked<{ readonly doorId: string }>) => DoorPolicyAnswer | undefined;
  readonly version: (nothing: undefined) => PolicyVersion | undefined;
};

let reader: PolicyReader | undefined;
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

const offer: PolicyWorkerOffer = {
  open: ({ file, journal }) => {
    reader = new PolicyReader(file);
    factsReader = new FactsReader(journal);
    // a database that is damaged or newer is told at start, not at the first tap
    reader.version();
  },
  lookUp: ({ query, rulesNumber }) => answer(opened().slice(query), rulesNumber),
  lookUpClaim: ({ query, rulesNumber }) => {
    const slice = opened().sliceOfClaim(query);
    return slice && answer(slice, rulesNumber);
  },
  doorPolicy: ({ query, rulesNumber }) => {
    const policy = opened().doorPolicy(query.doorId);
    return policy && { version: policy.version, ...sent(policy.rules, rulesNumber) };
  },
  version: () => opened().version(),
};

linkToMain(offer);
