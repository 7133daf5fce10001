import type { PolicySlice, PolicyVersion } from '#core/access/policy.ts';

export interface PolicyQuery {
  readonly doorId: string;
  readonly organization: string;
  readonly profileId: string;
  readonly userNumber: string;
  /** upper-case hexadecimal */
  readonly diversifier?: string;
}

/** Looks up what one decision needs. Rejects with a Fault `policy-absent` while no policy is installed. */
export interface PolicyLookup {
  start(): Promise<void>;
  stop(): Promise<void>;
  slice(query: PolicyQuery): Promise<PolicySlice>;
  /** undefined while no policy is installed */
  version(): Promise<PolicyVersion | undefined>;
}
