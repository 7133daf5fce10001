import { concat, release, toHex } from '#core/bytes/bytes.ts';
import { Fault } from '#core/fault.ts';
import { chunkHash, hashInIndex, hashLength, holdersRoot } from '#core/sync/bucket.ts';
import type { Manifest } from '#core/sync/manifest.ts';
import type { Sqlite } from './database.ts';

/** So many hashes of the index are a row: as many as fit on a page of the database. */
export const hashesPerPage = 120;

/**
 * A policy that a server distributes. Chunks (rules, buckets of holders) lie as they came, under their hash; `used` is 0
 * while they are fetched for a manifest that is not installed yet. The index and where a card is found are made from them.
 * None of it is believed: each look-up verifies what it uses against the signed manifest. What is revoked ahead of the
 * manifest is kept here, and counts by the memory of the terminal.
 */
export const distributedTables = `
  CREATE TABLE manifest (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    document BLOB NOT NULL,
    installed_at_ms INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE bucket_index (page INTEGER PRIMARY KEY, hashes BLOB NOT NULL) STRICT;
  CREATE TABLE chunks (hash BLOB NOT NULL UNIQUE, used INTEGER NOT NULL, bytes BLOB NOT NULL) STRICT;
  CREATE INDEX chunks_unused ON chunks (used) WHERE used = 0;
  CREATE TABLE bucket_cards (
    profile_id TEXT NOT NULL,
    user_number TEXT NOT NULL,
    diversifier TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    PRIMARY KEY (profile_id, user_number, diversifier)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX bucket_cards_by_diversifier ON bucket_cards (profile_id, diversifier) WHERE diversifier <> '';
  CREATE TABLE revoked (
    root_version INTEGER NOT NULL,
    change_number INTEGER NOT NULL,
    records TEXT NOT NULL,
    PRIMARY KEY (root_version, change_number, records)
  ) STRICT, WITHOUT ROWID;
`;

export interface ManifestRow {
  readonly document: Uint8Array;
  readonly installed_at_ms: number;
}

export function readManifestRow(db: Sqlite): ManifestRow | undefined {
  return db.prepare<[], ManifestRow>('SELECT document, installed_at_ms FROM manifest').get();
}

/**
 * What a manifest says, whoever signed it: for whoever looks at a database without the root of trust beside it. Throws
 * `policy-altered` where it says nothing.
 */
export function manifestAsStored(document: Uint8Array): Manifest {
  try {
    const { payload } = JSON.parse(Buffer.from(document).toString()) as { readonly payload: string };
    return JSON.parse(Buffer.from(payload, 'base64').toString()) as Manifest;
  } catch {
    throw altered('its manifest cannot be read');
  }
}

/** The index as it is stored; whether it is the one signed, `verifiedIndex` tells. */
export function storedIndex(db: Sqlite): Uint8Array {
  const pages = db.prepare<[], Uint8Array>('SELECT hashes FROM bucket_index ORDER BY page').pluck().all();
  const index = concat(...pages);
  pages.forEach(release);
  return index;
}

/** The index that the manifest signs. Throws `policy-altered`. */
export function verifiedIndex(db: Sqlite, { bits, holdersRoot: root }: Manifest): Uint8Array {
  const index = storedIndex(db);
  if (index.length !== hashLength * 2 ** bits || holdersRoot(index) !== root) {
    throw altered('the index of its holders is not the one that was signed');
  }
  return index;
}

/** Whether two byte strings are equal; of hashes and public documents, which no time need hide. */
export function areSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** Numbers from `from` of the buckets whose hashes differ, of indexes of one length; all where there is none before. */
export function* differingBuckets(
  index: Uint8Array,
  before: Uint8Array | undefined,
  from = 0,
): Iterable<number> {
  const size = hashesPerPage * hashLength;
  for (let start = from * hashLength; start < index.length; start += size) {
    const end = Math.min(start + size, index.length);
    if (before && areSame(index.subarray(start, end), before.subarray(start, end))) continue;
    for (let bucket = start / hashLength; bucket < end / hashLength; bucket += 1) {
      if (before && areSame(hashInIndex(index, bucket), hashInIndex(before, bucket))) continue;
      yield bucket;
    }
  }
}

/** A chunk by the hash that names it; undefined where it is not there. Throws `policy-altered` where it is not as named. */
export function chunksOf(db: Sqlite): (hash: Uint8Array) => Uint8Array | undefined {
  const chunk = db.prepare<[Uint8Array], Uint8Array>('SELECT bytes FROM chunks WHERE hash = ?').pluck();
  return (hash) => {
    const bytes = chunk.get(hash);
    if (bytes && !areSame(chunkHash(bytes), hash)) throw altered(`chunk ${toHex(hash)} was changed`);
    return bytes;
  };
}

/** The policy on the device is not as it was signed: nothing opens by it. */
export function altered(how: string): Fault {
  return new Fault('policy-altered', `the policy on this device is not the one that was signed: ${how}`);
}
