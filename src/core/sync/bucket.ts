import type { Holder, HolderCard } from '#core/access/policy.ts';
import { toHex } from '#core/bytes/bytes.ts';
import { digest } from '#core/crypto/digest.ts';
import { documentBytes } from './document.ts';

/**
 * Holders are put in 2^bits buckets by the first bits of SHA-256 of their id. The bytes of a bucket are the same for the
 * same holders, and are known by their hash; all hashes in order are the index, whose hash the manifest signs. So a
 * change of one holder changes one bucket, and a terminal fetches only buckets that it does not have.
 */
export interface BucketHolder extends Holder {
  /** of this holder alone, in the order of their names */
  readonly cards: readonly HolderCard[];
}

/** 16 million holders in buckets of about 16; the index then has 33 MB. */
export const maximumBits = 20;
export const hashLength = 32;

export const bucketFormat = 1;
const perBucket = 16;
const utf8 = new TextDecoder();

/**
 * How many bits the buckets of so many holders take. What they have at `present` stays while buckets are neither far too
 * large nor far too small: another number changes every bucket.
 */
export function bitsFor(holders: number, present?: number): number {
  const size = present === undefined ? 0 : holders / 2 ** present;
  if (present !== undefined && size <= 2 * perBucket && (size >= perBucket / 4 || present === 0))
    return present;
  return Math.min(maximumBits, Math.max(0, Math.ceil(Math.log2(Math.max(1, holders) / perBucket))));
}

/** Number of the bucket of a holder, from 0. */
export function bucketOf(holderId: string, bits: number): number {
  const [a = 0, b = 0, c = 0, d = 0] = digest('sha-256', new TextEncoder().encode(holderId));
  const first = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  return bits === 0 ? 0 : first >>> (32 - bits);
}

/** The bytes of a bucket with these holders, in whatever order they come. */
export function bucketBytes(holders: readonly BucketHolder[]): Uint8Array {
  const sorted = holders.toSorted((a, b) => compare(a.holderId, b.holderId));
  return documentBytes({
    format: bucketFormat,
    holders: sorted.map(({ cards, groups, ...holder }) => ({
      ...holder,
      groups: groups.toSorted(),
      cards: cards.toSorted(compareCards).map((card) => ({ ...card })),
    })),
  });
}

/** The hash by which a chunk is known. */
export function chunkHash(bytes: Uint8Array): Uint8Array {
  return digest('sha-256', bytes);
}

/** The holders of a bucket whose hash is that of the index: it was read strictly before it came there. */
export function holdersOfBucket(bytes: Uint8Array): readonly BucketHolder[] {
  return (JSON.parse(utf8.decode(bytes)) as { holders: readonly BucketHolder[] }).holders;
}

/** The hash of bucket number `bucket` in an index. */
export function hashInIndex(index: Uint8Array, bucket: number): Uint8Array {
  return index.subarray(bucket * hashLength, (bucket + 1) * hashLength);
}

/** What the manifest says of an index. */
export function holdersRoot(index: Uint8Array): string {
  return toHex(digest('sha-256', index));
}

export function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

export function compareCards(a: HolderCard, b: HolderCard): number {
  return (
    compare(a.profileId, b.profileId) ||
    compare(a.userNumber, b.userNumber) ||
    compare(a.diversifier ?? '', b.diversifier ?? '')
  );
}
