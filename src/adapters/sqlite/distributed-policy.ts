import type { Statement } from 'better-sqlite3';
import { fromHex, plainBytes, toHex } from '#core/bytes/bytes.ts';
import { isFault } from '#core/fault.ts';
import { chunkHash, hashInIndex, hashLength, holdersRoot } from '#core/sync/bucket.ts';
import { readBucket } from '#core/sync/bucket-reading.ts';
import type { Manifest } from '#core/sync/manifest.ts';
import type { BucketChange } from '#core/sync/manifest-message.ts';
import { readRules } from '#core/sync/rules-chunk.ts';
import type {
  ChunkRefusal,
  FetchedChunk,
  InstallOutcome,
  MissingChunks,
  RevokedRecords,
  StageOutcome,
  SyncTarget,
  WantedChunk,
} from '#ports/policy-sync.ts';
import { emptyBucketHash } from './bucket-records.ts';
import { CardPlaces, NotInstalled } from './card-places.ts';
import type { Sqlite } from './database.ts';
import {
  areSame,
  chunksOf,
  differingBuckets,
  hashesPerPage,
  manifestAsStored,
  readManifestRow,
  storedIndex,
} from './distributed-format.ts';
import { forgetImported } from './policy-format.ts';

/**
 * Puts a distributed policy together in the policy database, each step in a transaction of its own. For a thread that may
 * wait for the disk.
 */
export class DistributedPolicy {
  readonly #db: Sqlite;
  readonly #there: Statement<[Uint8Array]>;
  /** the one that was asked about last, until it is in force */
  #index: { readonly root: string; readonly index: Uint8Array } | undefined;

  constructor(db: Sqlite) {
    this.#db = db;
    this.#there = db.prepare('SELECT 1 FROM chunks WHERE hash = ?');
  }

  installed(): Uint8Array | undefined {
    const row = readManifestRow(this.#db);
    return row && plainBytes(row.document);
  }

  missing(
    { manifest }: SyncTarget,
    changes: readonly BucketChange[],
    { from, most }: { readonly from: number; readonly most: number },
  ): MissingChunks {
    const wanted: WantedChunk[] = this.#has(fromHex(manifest.rulesHash))
      ? []
      : [{ kind: 'rules', hash: manifest.rulesHash }];
    const index = this.#indexOf(manifest) ?? this.#completed(manifest, changes);
    if (!index) return { wanted: [...wanted, { kind: 'index', hash: manifest.holdersRoot }] };
    const stored = storedIndex(this.#db);
    const present = stored.length === index.length ? stored : undefined;
    for (const bucket of differingBuckets(index, present, from)) {
      const hash = hashInIndex(index, bucket);
      if (areSame(hash, emptyBucketHash) || this.#has(hash)) continue;
      if (wanted.length >= most) return { wanted, next: bucket };
      wanted.push({ kind: 'bucket', hash: toHex(hash), bucket });
    }
    return { wanted };
  }

  stage({ manifest }: SyncTarget, chunks: readonly FetchedChunk[]): StageOutcome {
    const put = this.#db.prepare<[Uint8Array, Uint8Array]>(
      'INSERT OR IGNORE INTO chunks (hash, used, bytes) VALUES (?, 0, ?)',
    );
    return this.#db
      .transaction((): StageOutcome => {
        for (const { wanted, bytes } of chunks) {
          const reason = refusalOf({ wanted, bytes }, manifest);
          if (reason) return { kind: 'refused', reason, wanted };
          put.run(fromHex(wanted.hash), bytes);
        }
        return { kind: 'staged' };
      })
      .immediate();
  }

  install(target: SyncTarget, nowMs: number): InstallOutcome {
    // what lies there may not fit what comes because somebody edited it
    const changed = this.#installBy('changes', target, nowMs);
    return changed.kind === 'installed' ? changed : this.#installBy('whole', target, nowMs);
  }

  #installBy(way: 'changes' | 'whole', { document, manifest }: SyncTarget, nowMs: number): InstallOutcome {
    const install = this.#db.transaction((): InstallOutcome => {
      const index = this.#indexOf(manifest);
      if (!index || !this.#has(fromHex(manifest.rulesHash))) throw new NotInstalled('incomplete');
      const present = way === 'changes' ? this.#presentIndex(index.length) : undefined;
      const bucketsChanged = this.#replaceHolders(index, present);
      this.#replaceRules(manifest);
      this.#db.exec('DELETE FROM chunks WHERE used = 0');
      this.#db
        .prepare('INSERT OR REPLACE INTO manifest (one, document, installed_at_ms) VALUES (1, ?, ?)')
        .run(document, nowMs);
      this.#db
        .prepare('DELETE FROM revoked WHERE (root_version, change_number) <= (?, ?)')
        .run(manifest.rootVersion, manifest.changeNumber);
      forgetImported(this.#db);
      return { kind: 'installed', bucketsChanged };
    });
    try {
      const outcome = install.immediate();
      this.#index = undefined;
      return outcome;
    } catch (error) {
      if (isFault(error, 'policy-altered')) return { kind: 'incomplete' };
      if (!(error instanceof NotInstalled)) throw error;
      return error.why === 'incomplete' ? { kind: 'incomplete' } : { kind: 'refused', reason: 'malformed' };
    }
  }

  revoke({ rootVersion, changeNumber, holders, cards }: RevokedRecords): void {
    this.#db
      .prepare('INSERT OR IGNORE INTO revoked (root_version, change_number, records) VALUES (?, ?, ?)')
      .run(rootVersion, changeNumber, JSON.stringify({ holders, cards }));
  }

  revoked(): readonly RevokedRecords[] {
    return this.#db
      .prepare<[], { root_version: number; change_number: number; records: string }>(
        'SELECT * FROM revoked ORDER BY root_version, change_number',
      )
      .all()
      .map(({ root_version, change_number, records }) => ({
        ...(JSON.parse(records) as Pick<RevokedRecords, 'holders' | 'cards'>),
        rootVersion: root_version,
        changeNumber: change_number,
      }));
  }

  /** Throws away every chunk that was changed, and all that is made from them. */
  repair(): void {
    this.#db
      .transaction(() => {
        const remove = this.#db.prepare<[number | bigint]>('DELETE FROM chunks WHERE rowid = ?');
        const rows = this.#db.prepare<[], { id: number; hash: Uint8Array; bytes: Uint8Array }>(
          'SELECT rowid AS id, hash, bytes FROM chunks',
        );
        const bad: number[] = [];
        for (const { id, hash, bytes } of rows.iterate()) {
          if (!areSame(chunkHash(bytes), hash)) bad.push(id);
        }
        for (const id of bad) remove.run(id);
        this.#db.exec('DELETE FROM bucket_index; DELETE FROM bucket_cards; DELETE FROM manifest;');
      })
      .immediate();
  }

  #has(hash: Uint8Array): boolean {
    return this.#there.get(hash) !== undefined;
  }

  /** The index that the manifest names: the one in force, or one that was completed or staged. */
  #indexOf({ holdersRoot: root }: Manifest): Uint8Array | undefined {
    if (this.#index?.root === root) return this.#index.index;
    const present = storedIndex(this.#db);
    const index = holdersRoot(present) === root ? present : chunksOf(this.#db)(fromHex(root));
    this.#index = index && { root, index };
    return index;
  }

  /** The index in force with these changes, where it is the one that the manifest names. It costs no disk. */
  #completed(
    { bits, holdersRoot: root }: Manifest,
    changes: readonly BucketChange[],
  ): Uint8Array | undefined {
    const index = storedIndex(this.#db);
    if (changes.length === 0 || index.length !== hashLength * 2 ** bits) return undefined;
    for (const { bucket, hash } of changes) {
      if (bucket < 2 ** bits) index.set(hash, bucket * hashLength);
    }
    if (holdersRoot(index) !== root) return undefined;
    this.#index = { root, index };
    return index;
  }

  /** The index and where cards are found, as the new index has them; the number of buckets that differ from `present`. */
  #replaceHolders(index: Uint8Array, present: Uint8Array | undefined): number {
    const places = new CardPlaces(this.#db);
    if (!present) {
      places.clear();
      this.#db.exec('UPDATE chunks SET used = 0; DELETE FROM bucket_index');
    }
    const use = this.#db.prepare<[number, Uint8Array]>('UPDATE chunks SET used = ? WHERE hash = ?');
    const changed = [...differingBuckets(index, present)];
    if (present) {
      for (const bucket of changed) {
        const hash = hashInIndex(present, bucket);
        places.remove(hash);
        use.run(0, hash);
      }
    }
    for (const bucket of changed) {
      const hash = hashInIndex(index, bucket);
      places.add(hash, bucket);
      use.run(1, hash);
    }
    const hashes = present && changed.map((bucket) => hashInIndex(index, bucket));
    if (places.haveShared(hashes)) throw new NotInstalled('malformed');
    this.#replaceIndex(index, present);
    return changed.length;
  }

  /** The index in force where it is sound and of as many buckets; else everything is made anew. */
  #presentIndex(length: number): Uint8Array | undefined {
    const row = readManifestRow(this.#db);
    const present = storedIndex(this.#db);
    const sound = row && present.length === length;
    return sound && holdersRoot(present) === manifestAsStored(row.document).holdersRoot ? present : undefined;
  }

  #replaceIndex(index: Uint8Array, present: Uint8Array | undefined): void {
    const put = this.#db.prepare('INSERT OR REPLACE INTO bucket_index (page, hashes) VALUES (?, ?)');
    const size = hashesPerPage * hashLength;
    for (let page = 0; page * size < index.length; page += 1) {
      const hashes = index.subarray(page * size, (page + 1) * size);
      const old = present?.subarray(page * size, (page + 1) * size);
      if (!old || !areSame(hashes, old)) put.run(page, hashes);
    }
  }

  #replaceRules({ rulesHash }: Manifest): void {
    const row = readManifestRow(this.#db);
    const use = this.#db.prepare<[number, Uint8Array]>('UPDATE chunks SET used = ? WHERE hash = ?');
    if (row) use.run(0, fromHex(manifestAsStored(row.document).rulesHash));
    use.run(1, fromHex(rulesHash));
  }
}

function refusalOf({ wanted, bytes }: FetchedChunk, manifest: Manifest): ChunkRefusal | undefined {
  if (toHex(chunkHash(bytes)) !== wanted.hash) return 'chunk-altered';
  if (wanted.kind === 'index')
    return bytes.length === hashLength * 2 ** manifest.bits ? undefined : 'malformed';
  const read =
    wanted.kind === 'bucket'
      ? readBucket(bytes, { bucket: wanted.bucket, bits: manifest.bits })
      : readRules(bytes, manifest.organization);
  return read.kind === 'refused' ? read.reason : undefined;
}
