import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { giveToOwnerOf } from '#adapters/process/ownership.ts';
import type { Sqlite } from './database.ts';

const mebibyte = 1024 * 1024;

/** Share of the reserved space that the write-ahead log gets, in bytes. */
export function walReserveBytes(reserveMiB: number): number {
  return Math.min(16, Math.max(1, Math.floor(reserveMiB / 8))) * mebibyte;
}

/** Bytes of the database file, and how many of them hold something. */
export function databasePages(db: Sqlite): { readonly reservedBytes: number; readonly usedBytes: number } {
  const size = db.pragma('page_size', { simple: true }) as number;
  const pages = db.pragma('page_count', { simple: true }) as number;
  const free = db.pragma('freelist_count', { simple: true }) as number;
  return { reservedBytes: pages * size, usedBytes: (pages - free) * size };
}

/**
 * Grows the database file to `reserveMiB` MiB: blocks of zeros are stored and deleted again, and SQLite keeps the
 * pages for entries to come, really allocated on the disk. Blocks go in piecemeal so that the write-ahead log stays
 * small. Throws SqliteError SQLITE_FULL when the disk has less; what was gained by then is given back to the journal.
 */
export function reservePages(db: Sqlite, reserveMiB: number): void {
  const missing = () => reserveMiB * mebibyte - databasePages(db).reservedBytes;
  const insert = db.prepare('INSERT INTO reservation (space) VALUES (zeroblob(?))');
  try {
    while (missing() > 0) {
      insert.run(Math.max(4096, Math.min(mebibyte, missing())));
      db.pragma('wal_checkpoint(PASSIVE)');
    }
  } finally {
    releaseReservation(db);
  }
}

/** Frees blocks that a reservation, perhaps one cut short by a power failure, still holds. */
export function releaseReservation(db: Sqlite): void {
  for (;;) {
    const deleted = db
      .prepare('DELETE FROM reservation WHERE block IN (SELECT block FROM reservation LIMIT 4)')
      .run();
    if (deleted.changes === 0) return;
    db.pragma('wal_checkpoint(PASSIVE)');
  }
}

/**
 * Makes the write-ahead log of a closed database at least `bytes` long, with zeros, so that writing never needs
 * more of the disk. SQLite takes a log whose header is zero for an empty one, and zeros behind its frames for their
 * end. Ends quietly with a shorter log when the disk has less: the journal then works as far as it goes.
 */
export function reserveWal(databaseFile: string, bytes: number): void {
  const file = `${databaseFile}-wal`;
  const size = existsSync(file) ? statSync(file).size : 0;
  if (size >= bytes) return;
  const descriptor = openSync(file, 'a', 0o640);
  try {
    const zeros = new Uint8Array(mebibyte);
    for (let left = bytes - size; left > 0; left -= zeros.length) {
      writeSync(descriptor, zeros, 0, Math.min(left, zeros.length));
    }
    fsyncSync(descriptor);
    giveToOwnerOf(databaseFile, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Gives back 256 KiB of an empty write-ahead log, so that SQLite can make its other files on a disk that has
 * nothing left. A log that holds frames is not touched.
 */
export function makeRoom(databaseFile: string): void {
  const file = `${databaseFile}-wal`;
  if (!existsSync(file)) return;
  const { size } = statSync(file);
  if (size >= mebibyte && hasZeroHeader(file)) truncateSync(file, size - mebibyte / 4);
}

function hasZeroHeader(file: string): boolean {
  const descriptor = openSync(file, 'r');
  try {
    const header = new Uint8Array(32);
    readSync(descriptor, header, 0, header.length, 0);
    return header.every((byte) => byte === 0);
  } finally {
    closeSync(descriptor);
  }
}
