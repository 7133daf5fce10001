import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, toHex } from '#core/bytes/bytes.ts';
import {
  type BucketHolder,
  bitsFor,
  bucketBytes,
  bucketOf,
  chunkHash,
  hashInIndex,
  holdersOfBucket,
  holdersRoot,
  maximumBits,
} from '#core/sync/bucket.ts';
import { readBucket } from '#core/sync/bucket-reading.ts';
import { documentBytes } from '#core/sync/document.ts';

const refusal = (reason: string) => ({ kind: 'refused', reason });
const status = fc.constantFrom('active', 'suspended', 'ended');
const card = fc.record(
  {
    profileId: fc.constantFrom('staff', 'library'),
    userNumber: fc.stringMatching(/^[0-9A-Z]{1,8}$/),
    status,
    keyVersion: fc.integer({ min: 1, max: 255 }),
    diversifier: fc.stringMatching(/^(?:[0-9A-F]{2}){1,8}$/),
  },
  { requiredKeys: ['profileId', 'userNumber', 'status'] },
);
const holder = fc.record(
  {
    holderId: fc.string({ minLength: 1, maxLength: 12 }),
    status,
    groups: fc.uniqueArray(fc.stringMatching(/^[a-z職員]{1,6}$/), { maxLength: 4 }),
    validFromMs: fc.integer(),
    validUntilMs: fc.integer(),
    cards: fc.uniqueArray(card, {
      maxLength: 4,
      selector: ({ profileId, userNumber, diversifier = '' }) => [profileId, userNumber, diversifier].join(),
    }),
  },
  { requiredKeys: ['holderId', 'status', 'groups', 'cards'] },
) as fc.Arbitrary<BucketHolder>;
/** a user number is one holder's */
const holders = fc.uniqueArray(holder, { maxLength: 8, selector: ({ holderId }) => holderId }).map((some) =>
  some.map((one, at) => ({
    ...one,
    cards: one.cards.map((each) => ({ ...each, userNumber: `${at}-${each.userNumber}` })),
  })),
);

describe('a bucket', () => {
  it('has the same bytes for the same holders, and is read as them', () => {
    fc.assert(
      fc.property(holders, fc.integer(), (some, turn) => {
        const bytes = bucketBytes(some);
        const moved = [...some.slice(turn % 8), ...some.slice(0, turn % 8)].map((one) => ({
          ...one,
          cards: one.cards.toReversed(),
          groups: one.groups.toReversed(),
        }));
        expect(toHex(bucketBytes(moved))).toBe(toHex(bytes));
        const read = readBucket(bytes, { bucket: 0, bits: 0 });
        if (read.kind === 'refused') throw new Error(read.reason);
        expect(new Set(read.value.map(({ holderId }) => holderId))).toEqual(
          new Set(some.map(({ holderId }) => holderId)),
        );
        expect(bucketBytes(read.value)).toEqual(bytes);
        expect(holdersOfBucket(bytes)).toEqual(read.value);
      }),
      { numRuns: 200 },
    );
  });

  it('differs as soon as anything of a holder does', () => {
    fc.assert(
      fc.property(holders, holders, (some, others) => {
        const same = toHex(bucketBytes(some)) === toHex(bucketBytes(others));
        const value = (list: readonly BucketHolder[]) => holdersOfBucket(bucketBytes(list));
        expect(same).toBe(JSON.stringify(value(some)) === JSON.stringify(value(others)));
      }),
      { numRuns: 100 },
    );
  });

  it('has the holders that belong in it and no other', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.integer({ min: 0, max: 12 }), (holderId, bits) => {
        const bucket = bucketOf(holderId, bits);
        expect(bucket).toBeGreaterThanOrEqual(0);
        expect(bucket).toBeLessThan(2 ** bits);
        // one bit more halves each bucket
        expect(bucketOf(holderId, bits + 1) >> 1).toBe(bucket);
        const bytes = bucketBytes([{ holderId, status: 'active', groups: [], cards: [] }]);
        expect(readBucket(bytes, { bucket, bits }).kind).toBe('accepted');
        const elsewhere = { bucket: (bucket + 1) % 2 ** (bits + 1), bits: bits + 1 };
        const athome = elsewhere.bucket === bucketOf(holderId, bits + 1);
        expect(readBucket(bytes, elsewhere).kind).toBe(athome ? 'accepted' : 'refused');
      }),
      { numRuns: 200 },
    );
  });

  it('is chosen by the first bits of SHA-256', () => {
    // SHA-256 of "abc" begins BA7816BF (FIPS 180-4)
    expect(bucketOf('abc', 0)).toBe(0);
    expect(bucketOf('abc', 1)).toBe(1);
    expect(bucketOf('abc', 8)).toBe(0xba);
    expect(bucketOf('abc', 20)).toBe(0xba781);
  });

  it('in disorder, doubled, of a later format, too large or malformed is refused', () => {
    const one = { holderId: 'a', status: 'active', groups: ['g'], cards: [] };
    const a = { profileId: 'p', userNumber: '1', status: 'active' };
    const read = (value: Parameters<typeof documentBytes>[0]) =>
      readBucket(documentBytes(value), { bucket: 0, bits: 0 });
    expect(read({ format: 1, holders: [one] }).kind).toBe('accepted');
    expect(read({ format: 2 })).toEqual(refusal('format-unknown'));
    expect(readBucket(new Uint8Array(1_100_000), { bucket: 0, bits: 0 })).toEqual(refusal('oversize'));
    for (const some of [
      [one, one],
      [{ ...one, holderId: 'b' }, one],
      [{ ...one, groups: ['h', 'g'] }],
      [{ ...one, groups: ['g', 'g'] }],
      [{ ...one, cards: [a, a] }],
      [{ ...one, cards: [{ ...a, userNumber: '2' }, a] }],
      [{ ...one, status: 'master' }],
      [{ ...one, cards: [{ ...a, keyVersion: 0 }] }],
      [{ ...one, cards: [{ ...a, diversifier: '' }] }],
      [{ ...one, cards: [{ ...a, diversifier: 'ab' }] }],
      [{ ...one, validFromMs: null }],
      [{ ...one, more: 1 }],
      [{ holderId: 'a', status: 'active', groups: [] }],
      [
        { ...one, cards: [a] },
        { ...one, holderId: 'b', cards: [{ ...a, diversifier: '0A' }] },
      ],
    ])
      expect(read({ format: 1, holders: some })).toEqual(refusal('malformed'));
  });
});

describe('the index', () => {
  it('names each bucket, and changes with any of them', () => {
    const hashes = [0, 1, 2, 3].map((n) => chunkHash(new Uint8Array([n])));
    const index = concat(...hashes);
    expect(hashInIndex(index, 2)).toEqual(hashes[2]);
    const swapped = concat(...hashes.toReversed());
    expect(holdersRoot(swapped)).not.toBe(holdersRoot(index));
  });
});

describe('the number of bits', () => {
  it('makes buckets of about 16 holders', () => {
    expect(bitsFor(0)).toBe(0);
    expect(bitsFor(16)).toBe(0);
    expect(bitsFor(17)).toBe(1);
    expect(bitsFor(250_000)).toBe(14);
    expect(bitsFor(1_000_000)).toBe(16);
    expect(bitsFor(100_000_000)).toBe(maximumBits);
  });

  it('stays while it is good enough', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10_000_000 }), fc.integer({ min: 0, max: 20 }), (count, bits) => {
        const next = bitsFor(count, bits);
        if (next !== bits) expect(next).toBe(bitsFor(count));
        expect(bitsFor(count, next)).toBe(next);
        const size = count / 2 ** next;
        expect(size <= 32).toBe(true);
      }),
      { numRuns: 300 },
    );
    expect(bitsFor(1_200_000, 16)).toBe(16);
    expect(bitsFor(5_000_000, 16)).not.toBe(16);
  });
});
