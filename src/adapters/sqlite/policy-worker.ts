import type { PolicySlice, PolicyVersion } from '#core/access/policy.ts';
import type { ClaimQuery, PolicyQuery } from '#ports/policy-lookup.ts';
import { PolicyReader } from './policy-reader.ts';
import { linkToMain } from './worker-link.ts';

/** The thread that looks up the policy. */

export type PolicyWorkerOffer = {
  readonly open: (file: string) => void;
  readonly slice: (query: PolicyQuery) => PolicySlice;
  readonly sliceOfClaim: (query: ClaimQuery) => PolicySlice | undefined;
  readonly version: (nothing: undefined) => PolicyVersion | undefined;
};

let reader: PolicyReader | undefined;

function opened(): PolicyReader {
  if (!reader) throw new Error('the policy is not open');
  return reader;
}

const offer: PolicyWorkerOffer = {
  open: (file) => {
    reader = new PolicyReader(file);
    // a database that is damaged or newer is told at start, not at the first tap
    reader.version();
  },
  slice: (query) => opened().slice(query),
  sliceOfClaim: (query) => opened().sliceOfClaim(query),
  version: () => opened().version(),
};

linkToMain(offer);
