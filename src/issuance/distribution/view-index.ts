import type { Kysely } from 'kysely';
import { concat, fromHex, toHex } from '#core/bytes/bytes.ts';
import { hashInIndex, hashLength } from '#core/sync/bucket.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import { releaseChunks } from './chunk-store.ts';

type Db = Kysely<PermissionsTables>;
type ViewKey = Pick<PermissionsTables['views'], 'view_id' | 'bits'>;

const hashesPerPage = 256;
const noHash = '00'.repeat(hashLength);

/** Puts new hashes of buckets into the index of a view; those they take the place of are used once less. */
export async function putHashes(
  db: Db,
  { view_id, bits }: ViewKey,
  hashes: ReadonlyMap<number, string>,
  nowMs: number,
): Promise<void> {
  const replaced: string[] = [];
  const pages = Map.groupBy(hashes, ([bucket]) => Math.floor(bucket / hashesPerPage));
  for (const [page, changes] of pages) {
    const known = await db
      .selectFrom('view_pages')
      .select('hashes')
      .where('view_id', '=', view_id)
      .where('bits', '=', bits)
      .where('page', '=', page)
      .executeTakeFirst();
    const bytes = known
      ? new Uint8Array(known.hashes)
      : new Uint8Array(Math.min(hashesPerPage, 2 ** bits) * hashLength);
    for (const [bucket, hash] of changes) {
      const at = bucket % hashesPerPage;
      const old = toHex(hashInIndex(bytes, at));
      if (old !== noHash) replaced.push(old);
      bytes.set(fromHex(hash), at * hashLength);
    }
    await db
      .insertInto('view_pages')
      .values({ view_id, bits, page, hashes: bytes })
      .onConflict((at) => at.columns(['view_id', 'bits', 'page']).doUpdateSet({ hashes: bytes }))
      .execute();
  }
  await releaseChunks(db, replaced, nowMs);
}

/** The index of a view as it is now. */
export async function readIndex(db: Db, { view_id, bits }: ViewKey): Promise<Uint8Array> {
  const rows = await db
    .selectFrom('view_pages')
    .select('hashes')
    .where('view_id', '=', view_id)
    .where('bits', '=', bits)
    .orderBy('page')
    .execute();
  return concat(...rows.map((row) => new Uint8Array(row.hashes)));
}

/** Drops a page of a view but those of `keep` bits, with the use of its buckets. Resolves to whether there was one. */
export async function dropPage(
  db: Db,
  view_id: number,
  keep: readonly number[],
  nowMs: number,
): Promise<boolean> {
  const row = await db
    .selectFrom('view_pages')
    .selectAll()
    .where('view_id', '=', view_id)
    .where('bits', 'not in', [...keep, -1])
    .limit(1)
    .executeTakeFirst();
  if (!row) return false;
  const hashes = Array.from({ length: row.hashes.length / hashLength }, (_, at) =>
    toHex(hashInIndex(row.hashes, at)),
  );
  await releaseChunks(
    db,
    hashes.filter((hash) => hash !== noHash),
    nowMs,
  );
  await db
    .deleteFrom('view_pages')
    .where('view_id', '=', view_id)
    .where('bits', '=', row.bits)
    .where('page', '=', row.page)
    .execute();
  return true;
}
