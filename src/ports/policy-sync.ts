import type { DocumentRefusal } from '#core/sync/document.ts';
import type { Manifest } from '#core/sync/manifest.ts';
import type { BucketChange } from '#core/sync/manifest-message.ts';
import type { Revocation } from '#core/sync/revocation.ts';

/** A manifest that is believed, with the bytes in which it came. */
export interface SyncTarget {
  readonly document: Uint8Array;
  readonly manifest: Manifest;
}

/** A piece of a policy, known by its hash (upper-case hexadecimal). */
export type WantedChunk =
  | { readonly kind: 'rules' | 'index'; readonly hash: string }
  | { readonly kind: 'bucket'; readonly hash: string; readonly bucket: number };

/** What is to be fetched; there may be more from bucket `next` on. */
export interface MissingChunks {
  readonly wanted: readonly WantedChunk[];
  readonly next?: number;
}

export interface FetchedChunk {
  readonly wanted: WantedChunk;
  readonly bytes: Uint8Array;
}

/** Why a chunk was not taken: it is not what its hash says, or nothing this program can read. */
export type ChunkRefusal = 'chunk-altered' | DocumentRefusal;
export type StageOutcome =
  | { readonly kind: 'staged' }
  | { readonly kind: 'refused'; readonly reason: ChunkRefusal; readonly wanted: WantedChunk };

export type InstallOutcome =
  | { readonly kind: 'installed'; readonly bucketsChanged: number }
  /** something is missing, after all */
  | { readonly kind: 'incomplete' }
  /** the parts contradict one another: one user number of two holders */
  | { readonly kind: 'refused'; readonly reason: 'malformed' };

/** Holders and cards that a change of this number suspends, ahead of the manifest. */
export type RevokedRecords = Pick<Revocation, 'rootVersion' | 'changeNumber' | 'holders' | 'cards'>;

/** What a part of the policy on the device was found to be, and where to go on; nowhere at its end. */
export interface WalkStep {
  readonly altered: boolean;
  readonly next?: number;
}

/**
 * The policy that a server distributes, on this device: parts are put beside the one in force, over breaks and restarts,
 * and take its place whole or not at all, while look-ups go on. Rejects with `policy-unwritable` where the disk takes
 * nothing, and with database faults.
 */
export interface PolicySync {
  /** From then on nothing can be imported here. A database that cannot be read is put aside, and begun anew. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** The manifest in force, as it came; undefined before the first. */
  installed(): Promise<Uint8Array | undefined>;
  /**
   * What is to be fetched for `target`, at most `most` at once, its buckets beginning with number `from`, and none before
   * its index is there. `changes` may complete the one in force.
   */
  missing(
    target: SyncTarget,
    changes: readonly BucketChange[],
    portion: { readonly from: number; readonly most: number },
  ): Promise<MissingChunks>;
  /** Keeps chunks of `target` for when it is installed; those before a refused one are kept. */
  stage(target: SyncTarget, chunks: readonly FetchedChunk[]): Promise<StageOutcome>;
  /** Puts `target` in force; `nowMs`, milliseconds UTC. What was revoked by then, its changes have. */
  install(target: SyncTarget, nowMs: number): Promise<InstallOutcome>;
  /** Keeps what is revoked until a manifest has it. */
  revoke(revoked: RevokedRecords): Promise<void>;
  /** What is kept of that, each change by itself. */
  revoked(): Promise<readonly RevokedRecords[]>;
  /** Verifies some of what is in force, beginning with bucket `from`. */
  walk(manifest: Manifest, from: number): Promise<WalkStep>;
  /**
   * Throws away what is in force and every part that was changed, so that it is put together anew. A database of which
   * some cannot be read is put aside, and begun anew; what is revoked stays, where it can be read.
   */
  repair(): Promise<void>;
}
