/** Where the roots of trust lie, as they were signed: the one in force, before it the one whose documents may still count. */
export interface TrustStore {
  /** Rejects with `file-unreadable`; oldest first, and at least one. */
  load(): Promise<readonly Uint8Array[]>;
  /** Replaces them, durably and as a whole. Rejects with `policy-unwritable`. */
  save(roots: readonly Uint8Array[]): Promise<void>;
}
