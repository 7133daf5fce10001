import type { Statement } from 'better-sqlite3';
import type { Holder, HolderCard } from '#core/access/policy.ts';
import {
  type BucketHolder,
  bucketBytes,
  bucketOf,
  chunkHash,
  hashInIndex,
  holdersOfBucket,
} from '#core/sync/bucket.ts';
import type { Sqlite } from './database.ts';
import { altered, areSame, chunksOf } from './distributed-format.ts';
import type { FoundCards, HolderRecords } from './holder-records.ts';

/** a bucket that nobody is in is stored nowhere */
export const emptyBucketHash = chunkHash(bucketBytes([]));

/**
 * Records in buckets that a server has signed. Each look-up verifies the bucket it takes them from, so that nothing that
 * was changed on the disk opens a door: throws `policy-altered`.
 */
export class BucketRecords implements HolderRecords {
  readonly #bits: number;
  readonly #index: Uint8Array;
  readonly #chunk: (hash: Uint8Array) => Uint8Array | undefined;
  readonly #buckets: Statement<[string, string], number>;
  readonly #claimed: Statement<[string, string], string>;

  /** `index` is verified */
  constructor(db: Sqlite, { bits, index }: { readonly bits: number; readonly index: Uint8Array }) {
    this.#bits = bits;
    this.#index = index;
    this.#chunk = chunksOf(db);
    this.#buckets = db
      .prepare<[string, string], number>(
        'SELECT DISTINCT bucket FROM bucket_cards WHERE profile_id = ? AND user_number = ?',
      )
      .pluck();
    this.#claimed = db
      .prepare<[string, string], string>(
        `SELECT DISTINCT user_number FROM bucket_cards
         WHERE profile_id = ? AND diversifier = ? AND diversifier <> '' LIMIT 2`,
      )
      .pluck();
  }

  find(profileId: string, userNumber: string): FoundCards {
    const [bucket, another] = this.#buckets.all(profileId, userNumber);
    if (bucket === undefined) return { cards: [] };
    const isOfNumber = (card: HolderCard) => card.profileId === profileId && card.userNumber === userNumber;
    const holder = this.#holdersOf(bucket).find(({ cards }) => cards.some(isOfNumber));
    if (!holder || another !== undefined) throw altered('a card is not where it is said to be');
    const { cards, ...rest } = holder;
    return { cards: cards.filter(isOfNumber), holder: rest };
  }

  claimed(profileId: string, diversifier: string): readonly string[] {
    return this.#claimed.all(profileId, diversifier);
  }

  holder(holderId: string): Holder | undefined {
    const stored = this.#stored(holderId);
    if (!stored) return undefined;
    const { cards: _, ...holder } = stored;
    return holder;
  }

  cardsOf(holderId: string): readonly HolderCard[] {
    return this.#stored(holderId)?.cards ?? [];
  }

  #stored(holderId: string): BucketHolder | undefined {
    return this.#holdersOf(bucketOf(holderId, this.#bits)).find((one) => one.holderId === holderId);
  }

  #holdersOf(bucket: number): readonly BucketHolder[] {
    const hash = hashInIndex(this.#index, bucket);
    if (areSame(hash, emptyBucketHash)) return [];
    const bytes = this.#chunk(hash);
    if (!bytes) throw altered(`bucket ${bucket} of its holders is missing`);
    return holdersOfBucket(bytes);
  }
}
