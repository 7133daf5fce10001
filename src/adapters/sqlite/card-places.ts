import type { Statement } from 'better-sqlite3';
import type { HolderCard } from '#core/access/policy.ts';
import { release } from '#core/bytes/bytes.ts';
import { holdersOfBucket } from '#core/sync/bucket.ts';
import { emptyBucketHash } from './bucket-records.ts';
import type { Sqlite } from './database.ts';
import { areSame, chunksOf } from './distributed-format.ts';

/** Ends a transaction without effect: a part is missing, or the parts contradict one another. */
export class NotInstalled extends Error {
  readonly why: 'incomplete' | 'malformed';

  constructor(why: 'incomplete' | 'malformed') {
    super(why);
    this.why = why;
  }
}

/** In which bucket a card is found: made from the buckets, and believed by nobody. */
export class CardPlaces {
  readonly #db: Sqlite;
  readonly #chunk: (hash: Uint8Array) => Uint8Array | undefined;
  readonly #remove: Statement<[string, string, string]>;
  readonly #add: Statement<[string, string, string, number]>;
  readonly #buckets: Statement<[string, string], number>;

  constructor(db: Sqlite) {
    this.#db = db;
    this.#chunk = chunksOf(db);
    this.#remove = db.prepare(
      'DELETE FROM bucket_cards WHERE profile_id = ? AND user_number = ? AND diversifier = ?',
    );
    this.#add = db.prepare('INSERT OR IGNORE INTO bucket_cards VALUES (?, ?, ?, ?)');
    this.#buckets = db
      .prepare<[string, string], number>(
        'SELECT DISTINCT bucket FROM bucket_cards WHERE profile_id = ? AND user_number = ?',
      )
      .pluck();
  }

  clear(): void {
    this.#db.exec('DELETE FROM bucket_cards');
  }

  /** Forgets the cards of the bucket with this hash. */
  remove(hash: Uint8Array): void {
    for (const { profileId, userNumber, diversifier = '' } of this.#cardsOf(hash))
      this.#remove.run(profileId, userNumber, diversifier);
  }

  add(hash: Uint8Array, bucket: number): void {
    for (const { profileId, userNumber, diversifier = '' } of this.#cardsOf(hash)) {
      const added = this.#add.run(profileId, userNumber, diversifier, bucket);
      if (added.changes === 0) throw new NotInstalled('malformed');
    }
  }

  /**
   * Whether a user number is in several buckets, and so of several holders: the one would have open what the other may.
   * Of the cards in the buckets with these hashes, else of all.
   */
  haveShared(hashes: readonly Uint8Array[] | undefined): boolean {
    if (!hashes) {
      const shared = this.#db.prepare(
        'SELECT 1 FROM bucket_cards GROUP BY profile_id, user_number HAVING min(bucket) <> max(bucket) LIMIT 1',
      );
      return shared.get() !== undefined;
    }
    return hashes.some((hash) =>
      this.#cardsOf(hash).some(
        ({ profileId, userNumber }) => this.#buckets.all(profileId, userNumber).length > 1,
      ),
    );
  }

  /** Whether the cards of the bucket are found in it and nowhere else. */
  areOf(hash: Uint8Array, bucket: number): boolean {
    return this.#cardsOf(hash).every(({ profileId, userNumber }) => {
      const [found, another] = this.#buckets.all(profileId, userNumber);
      return found === bucket && another === undefined;
    });
  }

  #cardsOf(hash: Uint8Array): readonly HolderCard[] {
    if (areSame(hash, emptyBucketHash)) return [];
    const bytes = this.#chunk(hash);
    if (!bytes) throw new NotInstalled('incomplete');
    const holders = holdersOfBucket(bytes);
    release(bytes);
    return holders.flatMap(({ cards }) => cards);
  }
}
