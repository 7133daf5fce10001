import { copyFileSync, existsSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { openDatabase } from '#adapters/sqlite/database.ts';
import { journalFormat } from '#adapters/sqlite/journal-format.ts';
import { listEntries } from '#adapters/sqlite/journal-pages.ts';
import type { JournalEntry } from '#core/journal/entry.ts';

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

/** Entries of the journal in a state directory, in the order written. */
export function entriesIn(folder: string, kind: string | undefined): readonly JournalEntry[] {
  const db = openDatabase(join(folder, 'journal.sqlite'), journalFormat, { readonly: true });
  try {
    const views = listEntries(db, { limit: 10_000, ...(kind !== undefined && { kind }) });
    return views.map(({ entry }) => entry);
  } finally {
    db.close();
  }
}
