import { fromHex } from '#core/bytes/bytes.ts';
import { isFault } from '#core/fault.ts';
import { hashInIndex } from '#core/sync/bucket.ts';
import type { Manifest } from '#core/sync/manifest.ts';
import type { WalkStep } from '#ports/policy-sync.ts';
import { CardPlaces, NotInstalled } from './card-places.ts';
import type { Sqlite } from './database.ts';
import { chunksOf, manifestAsStored, readManifestRow, verifiedIndex } from './distributed-format.ts';

/** verified at once, so that nothing waits long for it */
const bucketsPerStep = 64;

/** Verifies some buckets of the policy in force, in one transaction that only reads, so that no install comes between. */
export function walkPolicy(db: Sqlite, manifest: Manifest, from: number): WalkStep {
  const end = Math.min(from + bucketsPerStep, 2 ** manifest.bits);
  const verify = db.transaction((): WalkStep => {
    const row = readManifestRow(db);
    if (!row) return { altered: true };
    // another one is in force by now, and is walked from its own beginning
    if (manifestAsStored(row.document).version !== manifest.version) return { altered: false };
    return areSound(db, manifest, from, end)
      ? { altered: false, ...(end < 2 ** manifest.bits && { next: end }) }
      : { altered: true };
  });
  try {
    return verify.deferred();
  } catch (error) {
    if (isFault(error, 'policy-altered') || error instanceof NotInstalled) return { altered: true };
    throw error;
  }
}

function areSound(db: Sqlite, manifest: Manifest, from: number, end: number): boolean {
  const index = verifiedIndex(db, manifest);
  const rulesHash = fromHex(manifest.rulesHash);
  if (from === 0 && !chunksOf(db)(rulesHash)) return false;
  const places = new CardPlaces(db);
  for (let bucket = from; bucket < end; bucket += 1) {
    if (!places.areOf(hashInIndex(index, bucket), bucket)) return false;
  }
  return true;
}
