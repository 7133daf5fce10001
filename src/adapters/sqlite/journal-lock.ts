import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { giveToOwnerOf } from '#adapters/process/ownership.ts';
import { Fault } from '#core/fault.ts';
import { type Sqlite, sqliteCode } from './database.ts';

/**
 * Makes this the one writer of the journal `file` until the result is closed or the process ends: the kernel drops
 * the lock even at SIGKILL. The lock is on a file of its own, so that readers are never kept out.
 *
 * @throws Fault `database-in-use`
 */
export function lockJournal(file: string): Sqlite {
  const lock = new Database(`${file}-lock`, { timeout: 0 });
  try {
    lock.pragma('journal_mode = MEMORY');
    lock.exec('BEGIN EXCLUSIVE');
    giveToOwnerOf(dirname(file), `${file}-lock`);
    return lock;
  } catch (error) {
    lock.close();
    if (sqliteCode(error)?.startsWith('SQLITE_BUSY')) {
      throw new Fault('database-in-use', `${file} is being written by a running terminal or command`, {
        cause: error,
      });
    }
    throw error;
  }
}
