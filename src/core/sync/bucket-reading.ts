import { z } from 'zod';
import { recordStatuses } from '#core/access/policy.ts';
import { type BucketHolder, bucketFormat, bucketOf, compare, compareCards } from './bucket.ts';
import { accepted, type Checked, readDocument, refused } from './document.ts';

/** of one bucket; it has about 2,500 */
export const maximumBucketBytes = 1_048_576;

const name = z.string().min(1).max(64);
const time = z.int();
const schema = z.strictObject({
  format: z.literal(bucketFormat),
  holders: z.array(
    z.strictObject({
      holderId: z.string().min(1).max(256),
      status: z.enum(recordStatuses),
      validFromMs: time.exactOptional(),
      validUntilMs: time.exactOptional(),
      groups: z.array(name),
      cards: z.array(
        z.strictObject({
          profileId: name,
          userNumber: z.string().min(1).max(64),
          status: z.enum(recordStatuses),
          keyVersion: z.int().min(1).max(255).exactOptional(),
          diversifier: z
            .string()
            .regex(/^(?:[0-9A-F]{2}){1,32}$/)
            .exactOptional(),
        }),
      ),
    }),
  ),
});

/** The holders of a bucket that somebody sent. Whether it is the one the index names, its hash tells. */
export function readBucket(
  bytes: Uint8Array,
  { bucket, bits }: { readonly bucket: number; readonly bits: number },
): Checked<readonly BucketHolder[]> {
  const read = readDocument(bytes, { schema, format: bucketFormat, maximumBytes: maximumBucketBytes });
  if (read.kind === 'refused') return read;
  const { holders } = read.value;
  const inOrder =
    isAscending(holders, (a, b) => compare(a.holderId, b.holderId)) &&
    holders.every(({ groups, cards }) => isAscending(groups, compare) && isAscending(cards, compareCards));
  const atHome = holders.every(({ holderId }) => bucketOf(holderId, bits) === bucket);
  return inOrder && atHome && isOfOneEach(holders) ? accepted(holders) : refused('malformed');
}

/** Whether each user number is one holder's. */
function isOfOneEach(holders: readonly BucketHolder[]): boolean {
  const owners = new Map<string, string>();
  for (const { holderId, cards } of holders) {
    for (const { profileId, userNumber } of cards) {
      const key = JSON.stringify([profileId, userNumber]);
      if ((owners.get(key) ?? holderId) !== holderId) return false;
      owners.set(key, holderId);
    }
  }
  return true;
}

function isAscending<T>(items: readonly T[], order: (a: T, b: T) => number): boolean {
  return items.every((item, at) => at === 0 || order(items[at - 1] as T, item) < 0);
}
