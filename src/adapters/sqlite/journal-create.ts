import { closeSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { giveToOwnerOf } from '#adapters/process/ownership.ts';
import { createJournalTables } from './journal-format.ts';
import { reservePages } from './journal-reserve.ts';

/**
 * Makes an empty journal with its space reserved. It appears under its name only when it is whole, so that a power
 * failure leaves none rather than half of one. Throws SqliteError SQLITE_FULL when the disk is too small.
 */
export function createJournal(file: string, reserveMiB: number): void {
  const unfinished = `${file}.new`;
  removeDatabase(unfinished);
  try {
    const db = new Database(unfinished);
    try {
      // nothing to roll back to yet: durable by the fsync below
      db.pragma('journal_mode = MEMORY');
      db.pragma('synchronous = OFF');
      db.pragma('auto_vacuum = NONE');
      createJournalTables(db);
      reservePages(db, reserveMiB);
      db.pragma('journal_mode = WAL');
    } finally {
      db.close();
    }
    syncPath(unfinished);
  } catch (error) {
    removeDatabase(unfinished);
    throw error;
  }
  giveToOwnerOf(dirname(file), unfinished);
  // a log left from a database that is gone must not be replayed into the new one
  rmSync(`${file}-wal`, { force: true });
  rmSync(`${file}-shm`, { force: true });
  renameSync(unfinished, file);
  syncPath(dirname(file));
}

function removeDatabase(file: string): void {
  for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(`${file}${suffix}`, { force: true });
}

function syncPath(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
