import type { DatabaseFormat, Sqlite } from './database.ts';
import { stampFormat } from './database.ts';

/** `KzJn` */
export const journalFormat: DatabaseFormat = { name: 'journal', applicationId: 0x4b7a4a6e, version: 3 };

/**
 * Entries are added at the end and let go of at the beginning, never the last one, so positions run without gaps over
 * all incarnations; within one, the sequence is the position less that of its first entry, plus 1. `raw` is what is
 * hashed; the other columns only find it. `forgotten_through` is the last sequence number that was let go of, 0 for none.
 * `upload` is how far the server has stored the journal, and how far a checkpoint it has signs that; by position.
 * `facts` are what access rules remember, written with the entry that changed them; those of the terminal as a whole
 * have the empty holder.
 */
const tables = `
  CREATE TABLE incarnations (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    terminal TEXT NOT NULL,
    first_position INTEGER NOT NULL,
    forgotten_through INTEGER NOT NULL DEFAULT 0,
    forgotten_hash BLOB
  ) STRICT;
  CREATE TABLE entries (
    position INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    raw BLOB NOT NULL,
    hash BLOB NOT NULL
  ) STRICT;
  CREATE INDEX entries_by_time ON entries (at_ms);
  CREATE TABLE personal (
    position INTEGER NOT NULL REFERENCES entries,
    field TEXT NOT NULL,
    salt BLOB NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (position, field)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE checkpoints (
    position INTEGER PRIMARY KEY REFERENCES entries,
    raw BLOB NOT NULL,
    signature BLOB NOT NULL
  ) STRICT;
  CREATE TABLE device_keys (
    number INTEGER PRIMARY KEY,
    public_key BLOB NOT NULL UNIQUE
  ) STRICT;
  CREATE TABLE facts (
    holder_id TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (holder_id, key)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE upload (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    stored INTEGER NOT NULL,
    signed INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE reservation (block INTEGER PRIMARY KEY, space BLOB NOT NULL) STRICT;
`;

/** Makes the tables of an empty journal. */
export function createJournalTables(db: Sqlite): void {
  db.transaction(() => {
    db.exec(tables);
    stampFormat(db, journalFormat);
  })();
}
