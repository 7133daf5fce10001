import { copyFileSync, existsSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { openDatabase, type Sqlite } from '#adapters/sqlite/database.ts';
import { journalFormat } from '#adapters/sqlite/journal-format.ts';
import { listEntries, readKeys, readPage } from '#adapters/sqlite/journal-pages.ts';
import type { JournalEntry } from '#core/journal/entry.ts';
import { verifyJournal } from '#core/journal/verify.ts';
import type { Finding } from '#core/journal/verify-report.ts';
import type { Signing } from '#ports/signing.ts';

export function newFolder(root: string): string {
  return mkdtempSync(join(root, 'state-'));
}

/** The log first: what is moved from it into the database meanwhile is then in both. */
const durableFiles = [
  'journal.sqlite-wal',
  'journal.sqlite',
  'journal.sqlite.head',
  'policy.sqlite-wal',
  'policy.sqlite',
];

/** What the disk has now, in a folder of its own, as whoever starts after a power failure finds it. */
export function copyOf(folder: string, root: string): string {
  const copy = newFolder(root);
  for (const name of durableFiles) {
    if (existsSync(join(folder, name))) copyFileSync(join(folder, name), join(copy, name));
  }
  return copy;
}

/** What a verification finds wrong with the journal in a state directory, with the key of its device known. */
export async function findingsIn(folder: string, signing: Signing): Promise<readonly Finding[]> {
  const items = read(folder, (db) => [...readKeys(db), ...readPage(db, 0).items]);
  const { findings } = await verifyJournal(items, {
    publicKeys: [signing.publicKey()],
    heads: [],
    personalIncluded: true,
    checkpointEveryEntries: 1_000,
  });
  return findings;
}

/** Entries of the journal in a state directory, in the order written. */
export function entriesIn(folder: string, kind: string | undefined): readonly JournalEntry[] {
  const views = read(folder, (db) => listEntries(db, { limit: 10_000, ...(kind !== undefined && { kind }) }));
  return views.map(({ entry }) => entry);
}

function read<T>(folder: string, look: (db: Sqlite) => T): T {
  const db = openDatabase(join(folder, 'journal.sqlite'), journalFormat, { readonly: true });
  try {
    return look(db);
  } finally {
    db.close();
  }
}
