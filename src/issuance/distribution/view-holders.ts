import type { Kysely } from 'kysely';
import { type BucketHolder, bitsFor, bucketBytes, bucketOf, maximumBits } from '#core/sync/bucket.ts';
import { inView, parseHolderPart } from '#core/sync/view.ts';
import { DistributionFeed } from '../permissions/distribution-feed.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import { keepChunks } from './chunk-store.ts';
import { putHashes } from './view-index.ts';

type Db = Kysely<PermissionsTables>;
export type ViewRow = PermissionsTables['views'];

/** Holders changed or removed, as they are now, and the number up to which they are. */
export interface TakenChanges {
  readonly holders: readonly BucketHolder[];
  readonly ids: readonly string[];
}

function placeOf(holderId: string): number {
  return bucketOf(holderId, maximumBits);
}

/** Takes the next `limit` holders into a view that is begun; true where those were the last. */
export async function placeSome(db: Db, view: ViewRow, limit: number): Promise<boolean> {
  const page = await new DistributionFeed({ db }).page(view.placed_after ?? '', limit);
  const part = parseHolderPart(view.part);
  const members = page.filter((holder) => inView(part, holder)).map(({ holderId }) => holderId);
  await addMembers(db, view.view_id, members);
  const last = page.length < limit;
  if (!last) {
    await change(db, view, { placed_after: page.at(-1)?.holderId ?? '' });
    return false;
  }
  const { holders } = await db
    .selectFrom('view_holders')
    .select((column) => column.fn.countAll().as('holders'))
    .where('view_id', '=', view.view_id)
    .executeTakeFirstOrThrow();
  const count = Number(holders);
  await change(db, view, { placed_after: null, holders: count, bits: bitsFor(count), filled: 0 });
  return true;
}

/** Takes changes into a view: who comes and goes, and which buckets are to be made anew. */
export async function takeInto(db: Db, view: ViewRow, { holders, ids }: TakenChanges): Promise<void> {
  if (ids.length === 0) return;
  const part = parseHolderPart(view.part);
  const wanted = new Set(holders.filter((one) => inView(part, one)).map(({ holderId }) => holderId));
  const rows = await db
    .selectFrom('view_holders')
    .select('holder_id')
    .where('view_id', '=', view.view_id)
    .where('place', 'in', ids.map(placeOf))
    .where('holder_id', 'in', [...ids])
    .execute();
  const known = new Set(rows.map((row) => row.holder_id));
  const coming = [...wanted].filter((id) => !known.has(id));
  const going = [...known].filter((id) => !wanted.has(id));
  await addMembers(db, view.view_id, coming);
  if (going.length > 0) {
    await db
      .deleteFrom('view_holders')
      .where('view_id', '=', view.view_id)
      .where('place', 'in', going.map(placeOf))
      .where('holder_id', 'in', going)
      .execute();
  }
  if (view.placed_after !== null) return;
  const count = view.holders + coming.length - going.length;
  const bits = bitsFor(count, view.bits);
  if (bits !== view.bits) return beginAnew(db, view, { holders: count, bits });
  await change(db, view, { holders: count });
  const touched = new Set([...wanted, ...known].map((id) => bucketOf(id, bits)));
  await mark(
    db,
    view,
    [...touched].filter((bucket) => bucket < view.filled),
  );
}

async function addMembers(db: Db, view_id: number, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await db
    .insertInto('view_holders')
    .values(ids.map((id) => ({ view_id, place: placeOf(id), holder_id: id })))
    .onConflict((at) => at.columns(['view_id', 'place', 'holder_id']).doNothing())
    .execute();
}

async function beginAnew(db: Db, view: ViewRow, changes: Pick<ViewRow, 'holders' | 'bits'>): Promise<void> {
  for (const table of ['marked_buckets', 'bucket_changes'] as const) {
    await db.deleteFrom(table).where('view_id', '=', view.view_id).execute();
  }
  await change(db, view, { ...changes, filled: 0, changed: 1 });
}

async function mark(db: Db, { view_id }: ViewRow, buckets: readonly number[]): Promise<void> {
  if (buckets.length === 0) return;
  await db
    .insertInto('marked_buckets')
    .values(buckets.map((bucket) => ({ view_id, bucket })))
    .onConflict((at) => at.columns(['view_id', 'bucket']).doNothing())
    .execute();
}

/**
 * Makes at most `limit` buckets of a view whose holders are known: those that are marked, then those not made yet.
 * Resolves to how many there were. `number`: of the last change taken.
 */
export async function makeBuckets(
  db: Db,
  view: ViewRow,
  { limit, number, nowMs }: { readonly limit: number; readonly number: number; readonly nowMs: number },
): Promise<number> {
  const rows = await db
    .selectFrom('marked_buckets')
    .select('bucket')
    .where('view_id', '=', view.view_id)
    .limit(limit)
    .execute();
  const marked = rows.map((row) => row.bucket);
  const end = Math.min(2 ** view.bits, view.filled + limit - marked.length);
  const fresh = Array.from({ length: end - view.filled }, (_, at) => view.filled + at);
  const buckets = [...marked, ...fresh];
  if (buckets.length === 0) return 0;
  const contents = await readBuckets(db, view, buckets);
  const hashes = await keepChunks(
    db,
    contents.map((bytes) => ({ bytes, uses: 1 })),
    nowMs,
  );
  await putHashes(db, view, new Map(buckets.map((bucket, at) => [bucket, hashes[at] ?? ''])), nowMs);
  await recordChanges(db, view, marked, number);
  await change(db, view, { filled: end, changed: 1 });
  return buckets.length;
}

/** Remembers when buckets were changed, so that a terminal that is not far behind is sent these alone. */
async function recordChanges(
  db: Db,
  { view_id }: ViewRow,
  marked: readonly number[],
  number: number,
): Promise<void> {
  if (marked.length === 0) return;
  await db
    .deleteFrom('marked_buckets')
    .where('view_id', '=', view_id)
    .where('bucket', 'in', [...marked])
    .execute();
  await db
    .insertInto('bucket_changes')
    .values(marked.map((bucket) => ({ view_id, bucket, change_number: number })))
    .onConflict((at) => at.columns(['view_id', 'bucket']).doUpdateSet({ change_number: number }))
    .execute();
}

async function readBuckets(db: Db, view: ViewRow, buckets: readonly number[]): Promise<Uint8Array[]> {
  const width = 2 ** (maximumBits - view.bits);
  const members: string[][] = [];
  for (const bucket of buckets) {
    const rows = await db
      .selectFrom('view_holders')
      .select('holder_id')
      .where('view_id', '=', view.view_id)
      .where('place', '>=', bucket * width)
      .where('place', '<', (bucket + 1) * width)
      .execute();
    members.push(rows.map((row) => row.holder_id));
  }
  const part = parseHolderPart(view.part);
  const read = await new DistributionFeed({ db }).holders(members.flat());
  const holders = new Map(read.map((holder) => [holder.holderId, inView(part, holder)]));
  return members.map((ids) => bucketBytes(ids.flatMap((id) => holders.get(id) ?? [])));
}

async function change(db: Db, { view_id }: ViewRow, set: Partial<ViewRow>): Promise<void> {
  await db.updateTable('views').set(set).where('view_id', '=', view_id).execute();
}
