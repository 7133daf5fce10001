import type { Signing } from './signing.ts';

/** What an organization's keys sign: certificates of its terminals, policies, commands. */
export const signingPurposes = ['organization', 'policy', 'command'] as const;
export type SigningPurpose = (typeof signingPurposes)[number];

/** Signing keys of organizations that are kept where nobody can copy them. */
export interface SigningKeys {
  /** whether keys of this purpose are kept here */
  holds(purpose: SigningPurpose): boolean;
  /**
   * The key of an organization; `make`: made where there is none. undefined where there is none. Rejects with
   * `key-unavailable` or `key-vault-pin-refused`.
   */
  key(organization: string, purpose: SigningPurpose, make: boolean): Promise<Signing | undefined>;
}
