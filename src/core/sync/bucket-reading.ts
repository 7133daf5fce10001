import { recordStatuses } from '#core/access/policy.ts';
import { exactly, listOf, type Shape, shapeOf } from '#core/shape.ts';
import { type BucketHolder, bucketFormat, bucketOf, compare, compareCards } from './bucket.ts';
import { accepted, type Checked, readDocument, refused, shapedAs } from './document.ts';

/** of one bucket; it has about 2,500 */
export const maximumBucketBytes = 1_048_576;

const textTo = (longest: number): Shape =>
  shapeOf((value) => typeof value === 'string' && value.length >= 1 && value.length <= longest);
const wholeIn = (least: number, most: number): Shape =>
  shapeOf((value) => Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= most);
const name = textTo(64);
const time = wholeIn(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
const status = shapeOf((value) => recordStatuses.some((known) => known === value));
const diversifier = shapeOf((value) => typeof value === 'string' && /^(?:[0-9A-F]{2}){1,32}$/.test(value));
const card = exactly(
  { profileId: name, userNumber: name, status },
  { keyVersion: wholeIn(1, 255), diversifier },
);
const holder = exactly(
  { holderId: textTo(256), status, groups: listOf(name), cards: listOf(card) },
  { validFromMs: time, validUntilMs: time },
);
/** not in zod: it is read in a thread that does without it */
const schema = shapedAs<{ readonly holders: readonly BucketHolder[] }>(
  exactly({ format: shapeOf((value) => value === bucketFormat), holders: listOf(holder) }),
);

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
