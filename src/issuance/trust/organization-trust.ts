import type { Signer } from '#core/sync/signed.ts';

/** Keys of one role that sign here, as many as it takes, and the version of the root that names them. */
export interface RoleSigning {
  readonly signers: readonly Signer[];
  readonly rootVersion: number;
}

/** Whom the terminals of one organization believe, and what of it signs here. */
export interface OrganizationTrust {
  /** Roots as they were signed, by their version, oldest first. Rejects with `file-unreadable` where there is no sound one. */
  roots(): Promise<ReadonlyMap<number, Uint8Array>>;
  /** undefined while no root names a key that is here; rejects as `roots`, and with faults of key files. */
  signing(role: 'policy' | 'command'): Promise<RoleSigning | undefined>;
}
