import type { PolicySlice } from '#core/access/policy.ts';
import type { Fault } from '#core/fault.ts';
import type { Manifest } from '#core/sync/manifest.ts';
import type { Progress, SignedState } from '#core/sync/progress.ts';

/** How far a policy is known to have come, by its versions and by changes revoked ahead of it. */
export interface Reached {
  readonly version: Progress;
  readonly changes: Progress;
}

/** Who says whether a policy that lies on the device is the one that the server signed for this terminal. */
export interface PolicyTrust {
  /** What the signed manifest (as it came) says. Throws `policy-altered` where it is not signed for this terminal. */
  vouch(document: Uint8Array): Manifest;
  /** How far the policy is known to have come; to be asked before a look-up begins. */
  reached(): Reached;
  /** Throws `policy-altered` where what a look-up found is behind what was `reached` before it began. */
  checkCurrent(found: SignedState, reached: Reached): void;
  /** What is revoked ahead of that policy is suspended in the slice. */
  revised<S extends Pick<PolicySlice, 'holder' | 'card'>>(slice: S, state: SignedState): S;
  /** Told what a look-up found not to be as signed. */
  found(fault: Fault): void;
}
