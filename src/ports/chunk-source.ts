import type { WantedChunk } from './policy-sync.ts';

/** `gone`: the server has it no more, for a later manifest is out. `later`: ask again, and not before. */
export type ChunkAnswer =
  | { readonly kind: 'chunk'; readonly bytes: Uint8Array }
  | { readonly kind: 'gone' }
  | { readonly kind: 'later'; readonly afterMs: number };

/**
 * Where the parts of a policy are fetched from. What comes is not believed for coming from there. Rejects with
 * `server-unreachable` where nobody answers.
 */
export interface ChunkSource {
  /** One answer for each of `wanted`, in their order; not more than 256 at once. The bytes are the asker's. */
  fetch(wanted: readonly WantedChunk[]): Promise<readonly ChunkAnswer[]>;
  /** Roots of trust after `version`, as they were signed, in their order; none where that is the last. */
  roots(version: number): Promise<readonly Uint8Array[]>;
}
