import type { PolicySlice, PolicyVersion } from '#core/access/policy.ts';

export interface PolicyQuery {
  readonly doorId: string;
  readonly organization: string;
  readonly profileId: string;
  readonly userNumber: string;
  /** upper-case hexadecimal */
  readonly diversifier?: string;
}

/** A card that has said who it is but not yet shown its user number. */
export type ClaimQuery = Omit<PolicyQuery, 'userNumber' | 'diversifier'> & { readonly diversifier: string };

/** Looks up what one decision needs. Rejects with a Fault `policy-absent` while no policy is installed. */
export interface PolicyLookup {
  start(): Promise<void>;
  stop(): Promise<void>;
  slice(query: PolicyQuery): Promise<PolicySlice>;
  /**
   * What `slice` would answer for the card whose record has this diversifier; undefined where there is none, or where
   * cards of several user numbers have it.
   */
  sliceOfClaim(query: ClaimQuery): Promise<PolicySlice | undefined>;
  /** undefined while no policy is installed */
  version(): Promise<PolicyVersion | undefined>;
}
