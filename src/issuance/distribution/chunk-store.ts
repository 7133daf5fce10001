import type { Kysely } from 'kysely';
import { toHex } from '#core/bytes/bytes.ts';
import { chunkHash } from '#core/sync/bucket.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';

type Db = Kysely<PermissionsTables>;

/** how long what no policy has any more can still be fetched: a terminal may be in the middle of it */
const keptMs = 3_600_000;
const sweptAtOnce = 500;

/** Keeps chunks, each used so many times more; resolves to their hashes (upper-case hexadecimal), in their order. */
export async function keepChunks(
  db: Db,
  chunks: readonly { readonly bytes: Uint8Array; readonly uses: number }[],
  nowMs: number,
): Promise<readonly string[]> {
  const rows = new Map<string, PermissionsTables['chunks']>();
  const hashes = chunks.map(({ bytes, uses }) => {
    const hash = toHex(chunkHash(bytes));
    rows.set(hash, { hash, bytes, uses: uses + (rows.get(hash)?.uses ?? 0), unused_since_ms: nowMs });
    return hash;
  });
  if (rows.size === 0) return hashes;
  await db
    .insertInto('chunks')
    .values([...rows.values()])
    .onConflict((at) =>
      at.column('hash').doUpdateSet((row) => ({
        uses: row('chunks.uses', '+', row.ref('excluded.uses')),
        unused_since_ms: nowMs,
      })),
    )
    .execute();
  return hashes;
}

/** These hashes are used once less for each time they are named. */
export async function releaseChunks(db: Db, hashes: readonly string[], nowMs: number): Promise<void> {
  const times = new Map<string, number>();
  for (const hash of hashes) times.set(hash, (times.get(hash) ?? 0) + 1);
  for (const [count, same] of Map.groupBy(times.keys(), (hash) => times.get(hash) ?? 1)) {
    await db
      .updateTable('chunks')
      .set((row) => ({ uses: row('uses', '-', count), unused_since_ms: nowMs }))
      .where('hash', 'in', [...same])
      .execute();
  }
}

export async function readChunk(db: Db, hash: string): Promise<Uint8Array | undefined> {
  const row = await db.selectFrom('chunks').select('bytes').where('hash', '=', hash).executeTakeFirst();
  return row && new Uint8Array(row.bytes);
}

/** Forgets some of what nothing has used for an hour. Rules are not counted: what terminals are to have, they keep. */
export async function sweepChunks(db: Db, nowMs: number): Promise<boolean> {
  const rows = await db
    .selectFrom('chunks')
    .select('hash')
    .where('uses', '=', 0)
    .where('unused_since_ms', '<', nowMs - keptMs)
    .where('hash', 'not in', (sub) => sub.selectFrom('terminal_policies').select('rules_hash'))
    .where('hash', 'not in', (sub) => sub.selectFrom('terminal_policies').select('planned_rules'))
    .limit(sweptAtOnce)
    .execute();
  if (rows.length === 0) return false;
  const hashes = rows.map((row) => row.hash);
  // one that is used again since stays
  await db.deleteFrom('chunks').where('hash', 'in', hashes).where('uses', '=', 0).execute();
  return true;
}
