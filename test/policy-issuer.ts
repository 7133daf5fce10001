import type { SiteRules } from '#core/access/site-rules.ts';
import { concat, copyOf, toHex } from '#core/bytes/bytes.ts';
import {
  type BucketHolder,
  bitsFor,
  bucketBytes,
  bucketOf,
  chunkHash,
  hashInIndex,
  hashLength,
  holdersRoot,
} from '#core/sync/bucket.ts';
import { type Manifest, manifestBytes } from '#core/sync/manifest.ts';
import { type BucketChange, encodeManifestMessage, maximumInlineBytes } from '#core/sync/manifest-message.ts';
import { type Revocation, revocationBytes } from '#core/sync/revocation.ts';
import { rulesBytes } from '#core/sync/rules-chunk.ts';
import { encodeSigned, type SignedDocument, type Signer, signDocument } from '#core/sync/signed.ts';
import type { ChunkAnswer, ChunkSource } from '#ports/chunk-source.ts';
import type { SyncTarget, WantedChunk } from '#ports/policy-sync.ts';
import { testKeys } from './core/sync/keys.ts';

/** One version of a policy as it was issued. */
export interface Issued extends SyncTarget {
  readonly signed: SignedDocument;
  /** as a terminal is sent it */
  readonly message: Uint8Array;
}

/** Issues policies for one terminal, and serves their chunks; what it does wrong is up to the test. */
export class PolicyIssuer implements ChunkSource {
  rules: SiteRules;
  readonly holders = new Map<string, BucketHolder>();
  readonly chunks = new Map<string, Uint8Array>();
  /** chunks asked for, in order */
  readonly asked: WantedChunk[] = [];
  newRoots: Uint8Array[] = [];
  /** called before an answer; may throw, as a network does */
  meddle: (wanted: readonly WantedChunk[]) => Promise<void> | void = () => undefined;
  answer: (wanted: WantedChunk) => ChunkAnswer;
  signers: readonly Signer[] = testKeys.policy.slice(0, 1);
  readonly #terminal: string;
  #buckets = new Map<number, Map<string, BucketHolder>>();
  #index: Uint8Array = new Uint8Array();
  #dirty = new Set<number>();
  #last: Manifest | undefined;
  changeNumber = 0;
  rootVersion = 1;

  constructor(parts: { readonly terminal: string; readonly rules: SiteRules }) {
    this.#terminal = parts.terminal;
    this.rules = parts.rules;
    this.answer = ({ hash }) => {
      const bytes = this.chunks.get(hash);
      return bytes ? { kind: 'chunk', bytes: copyOf(bytes) } : { kind: 'gone' };
    };
  }

  async fetch(wanted: readonly WantedChunk[]): Promise<readonly ChunkAnswer[]> {
    await this.meddle(wanted);
    this.asked.push(...wanted);
    return wanted.map((one) => this.answer(one));
  }

  async roots(): Promise<readonly Uint8Array[]> {
    return this.newRoots;
  }

  put(holder: BucketHolder): void {
    this.changeNumber += 1;
    this.holders.set(holder.holderId, holder);
    this.#touch(holder.holderId);
  }

  remove(holderId: string): void {
    this.changeNumber += 1;
    this.holders.delete(holderId);
    this.#touch(holderId);
  }

  /** A version more where anything differs, else the same said again. */
  async issue(issuedAtMs: number, changes: Partial<Manifest> = {}): Promise<Issued> {
    const bits = bitsFor(this.holders.size, this.#last?.bits);
    const changed = this.#build(bits);
    const rules = rulesBytes(this.rules);
    const rulesHash = this.#keep(rules);
    const root = holdersRoot(this.#index);
    this.chunks.set(root, new Uint8Array(this.#index));
    const last = this.#last;
    const same = last?.rulesHash === rulesHash && last.holdersRoot === root;
    const manifest: Manifest = {
      type: 'policy-manifest',
      format: 1,
      organization: this.rules.organization,
      terminal: this.#terminal,
      version: (last?.version ?? 0) + (same ? 0 : 1),
      changeNumber: this.changeNumber,
      issuedAtMs,
      expiresAtMs: issuedAtMs + 30 * 86_400_000,
      rulesHash,
      holdersRoot: root,
      bits,
      holders: this.holders.size,
      rootVersion: this.rootVersion,
      ...changes,
    };
    this.#last = manifest;
    return this.sign(manifest, changed, last?.rulesHash === rulesHash ? [] : [rules]);
  }

  async sign(
    manifest: Manifest,
    changed: readonly number[] = [],
    inline: readonly Uint8Array[] = [],
  ): Promise<Issued> {
    const signed = await signDocument(manifestBytes(manifest), this.signers);
    const few = changed.length <= 20 ? changed : [];
    const changes: BucketChange[] = few.map((bucket) => ({ bucket, hash: hashInIndex(this.#index, bucket) }));
    const chunks = [...inline, ...changes.flatMap(({ hash }) => this.chunks.get(toHex(hash)) ?? [])];
    const fits = chunks.reduce((sum, { length }) => sum + length, 0) <= maximumInlineBytes;
    const message = encodeManifestMessage({ manifest: signed, changes, chunks: fits ? chunks : [] });
    return { signed, document: encodeSigned(signed), manifest, message };
  }

  /** The manifest alone, so that everything is to be fetched. */
  bare({ signed }: Issued): Uint8Array {
    return encodeManifestMessage({ manifest: signed, changes: [], chunks: [] });
  }

  async revoke(
    holders: readonly string[],
    more: Partial<Pick<Revocation, 'changeNumber' | 'rootVersion' | 'cards'>> = {},
  ): Promise<Uint8Array> {
    this.changeNumber += 1;
    const raw = revocationBytes({
      organization: this.rules.organization,
      changeNumber: this.changeNumber,
      rootVersion: this.rootVersion,
      issuedAtMs: 0,
      holders: [...holders],
      cards: [],
      ...more,
    });
    return encodeSigned(await signDocument(raw, this.signers));
  }

  #touch(holderId: string): void {
    const bits = this.#last?.bits;
    if (bits === undefined) return;
    const bucket = bucketOf(holderId, bits);
    const holder = this.holders.get(holderId);
    const there = this.#buckets.get(bucket) ?? new Map();
    this.#buckets.set(bucket, there);
    if (holder) there.set(holderId, holder);
    else there.delete(holderId);
    this.#dirty.add(bucket);
  }

  #build(bits: number): readonly number[] {
    if (this.#last?.bits !== bits) {
      this.#buckets = new Map(Array.from({ length: 2 ** bits }, (_, bucket) => [bucket, new Map()]));
      for (const holder of this.holders.values())
        this.#buckets.get(bucketOf(holder.holderId, bits))?.set(holder.holderId, holder);
      this.#index = concat(...Array.from({ length: 2 ** bits }, () => new Uint8Array(hashLength)));
      this.#dirty = new Set(this.#buckets.keys());
    }
    const changed = [...this.#dirty];
    for (const bucket of changed) {
      const bytes = bucketBytes([...(this.#buckets.get(bucket)?.values() ?? [])]);
      this.#keep(bytes);
      this.#index.set(chunkHash(bytes), bucket * hashLength);
    }
    this.#dirty.clear();
    return changed;
  }

  #keep(bytes: Uint8Array): string {
    const hash = toHex(chunkHash(bytes));
    this.chunks.set(hash, bytes);
    return hash;
  }
}
