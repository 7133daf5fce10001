import { release, toHex } from '#core/bytes/bytes.ts';
import { chunkHash } from '#core/sync/bucket.ts';
import type { ManifestMessage } from '#core/sync/manifest-message.ts';
import type { ChunkSource } from '#ports/chunk-source.ts';
import type { ChunkRefusal, FetchedChunk, PolicySync, SyncTarget, WantedChunk } from '#ports/policy-sync.ts';

export type FetchOutcome =
  | { readonly kind: 'complete' }
  /** a newer manifest takes its place */
  | { readonly kind: 'superseded' }
  /** the server has a part no more, and will send a newer manifest */
  | { readonly kind: 'gone' }
  | { readonly kind: 'refused'; readonly reason: ChunkRefusal };

const chunksAtOnce = 256;

/** Gets what a manifest calls for and this device lacks; what has come by a break is there after it. */
export class PolicyFetch {
  readonly #sync: PolicySync;
  readonly #source: ChunkSource;
  readonly #pause: (ms: number) => Promise<void>;

  constructor(parts: {
    readonly sync: PolicySync;
    readonly source: ChunkSource;
    readonly pause: (ms: number) => Promise<void>;
  }) {
    this.#sync = parts.sync;
    this.#source = parts.source;
    this.#pause = parts.pause;
  }

  /** Rejects with faults of the source and of the database. */
  async fetch(
    target: SyncTarget & { readonly message: ManifestMessage },
    isCurrent: () => boolean,
  ): Promise<FetchOutcome> {
    const inline = new Map(target.message.chunks.map((bytes) => [toHex(chunkHash(bytes)), bytes]));
    let from = 0;
    for (;;) {
      const portion = { from, most: chunksAtOnce };
      const { wanted: missing, next = 0 } = await this.#sync.missing(target, target.message.changes, portion);
      if (missing.length === 0 && from === 0)
        return isCurrent() ? { kind: 'complete' } : { kind: 'superseded' };
      const came = missing.flatMap((wanted) => {
        const bytes = inline.get(wanted.hash);
        return bytes ? [{ wanted, bytes }] : [];
      });
      const staged = await this.#sync.stage(target, came);
      if (staged.kind === 'refused') return staged;
      const rest = missing.filter(({ hash }) => !inline.has(hash));
      const outcome = await this.#fetchAll(target, rest, isCurrent);
      if (outcome) return outcome;
      from = next;
    }
  }

  async #fetchAll(
    target: SyncTarget,
    wanted: readonly WantedChunk[],
    isCurrent: () => boolean,
  ): Promise<FetchOutcome | undefined> {
    let left = wanted;
    while (left.length > 0) {
      if (!isCurrent()) return { kind: 'superseded' };
      const answers = await this.#source.fetch(left);
      const came: FetchedChunk[] = [];
      const again: WantedChunk[] = [];
      let afterMs = 0;
      for (const [at, one] of left.entries()) {
        const answer = answers[at];
        if (answer?.kind === 'gone') return { kind: 'gone' };
        if (answer?.kind === 'chunk') came.push({ wanted: one, bytes: answer.bytes });
        else {
          again.push(one);
          afterMs = Math.max(afterMs, answer?.afterMs ?? 0);
        }
      }
      const staged = await this.#sync.stage(target, came);
      for (const { bytes } of came) release(bytes);
      if (staged.kind === 'refused') return staged;
      left = again;
      if (again.length > 0) await this.#pause(afterMs);
    }
    return undefined;
  }
}
