import type { Facts } from '#core/access/access-state.ts';
import type { DoorPolicy, PolicySlice, PolicyVersion } from '#core/access/policy.ts';

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

/** All that is stored and bears on one tap. */
export interface LookedUp {
  readonly slice: PolicySlice;
  /** of the slice's holder, as the journal had them; none without a holder */
  readonly facts: Facts;
}

/** Looks up what one decision needs. Rejects with a Fault `policy-absent` while no policy is installed. */
export interface PolicyLookup {
  start(): Promise<void>;
  stop(): Promise<void>;
  lookUp(query: PolicyQuery): Promise<LookedUp>;
  /**
   * What `lookUp` would answer for the card whose record has this diversifier; undefined where there is none, or where
   * cards of several user numbers have it.
   */
  lookUpClaim(query: ClaimQuery): Promise<LookedUp | undefined>;
  /** undefined while no policy is installed */
  doorPolicy(doorId: string): Promise<DoorPolicy | undefined>;
  /** undefined while no policy is installed */
  version(): Promise<PolicyVersion | undefined>;
}
