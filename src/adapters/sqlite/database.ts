import { existsSync, statSync } from 'node:fs';
import Database from 'better-sqlite3';
import { Fault, isFault } from '#core/fault.ts';
import { unreadable } from '#core/file-fault.ts';

export type Sqlite = Database.Database;

/** What tells one of our databases from any other file, and its format from a newer one. */
export interface DatabaseFormat {
  readonly name: 'policy' | 'journal' | 'issuance';
  /** SQLite's application_id, stored in the header of the file */
  readonly applicationId: number;
  /** SQLite's user_version */
  readonly version: number;
}

/** Name and error number of a failure that SQLite reports. */
export function sqliteCode(error: unknown): string | undefined {
  return error instanceof Database.SqliteError ? error.code : undefined;
}

/**
 * Opens a database that must exist and be of `format`.
 *
 * @throws Fault `database-newer`, `database-invalid`, `database-in-use` or `file-unreadable`
 */
export function openDatabase(file: string, format: DatabaseFormat, options: { readonly: boolean }): Sqlite {
  checkFile(file);
  return guarded(file, () => {
    const db = new Database(file, { fileMustExist: true, readonly: options.readonly, timeout: 2_000 });
    try {
      checkFormat(db, file, format);
      db.pragma('foreign_keys = ON');
      db.pragma('trusted_schema = OFF');
      // a WAL commit is then durable when it returns
      db.pragma('synchronous = FULL');
      // enough for the inner pages of a million holders; the rest is the system's to cache
      db.pragma('cache_size = -4000');
      // checkpoints are made when nobody waits for them
      db.pragma('wal_autocheckpoint = 0');
      return db;
    } catch (error) {
      db.close();
      throw error;
    }
  });
}

/** Stamps a database just made. Runs inside the transaction that makes its tables. */
export function stampFormat(db: Sqlite, format: DatabaseFormat): void {
  db.pragma(`application_id = ${format.applicationId}`);
  db.pragma(`user_version = ${format.version}`);
}

/** Whether nothing was ever stored in `file`: it is absent or has no bytes. */
export function isBlank(file: string): boolean {
  return !existsSync(file) || statSync(file).size === 0;
}

/** Runs `action` on the database `file` and turns what SQLite reports into faults; a full or failing disk keeps its SqliteError. */
export function guarded<T>(file: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw databaseFault(file, error);
  }
}

function databaseFault(file: string, error: unknown): unknown {
  const code = sqliteCode(error);
  if (error instanceof TypeError && error.message.includes('directory does not exist')) {
    return new Fault('file-unreadable', `${file} cannot be made: its folder does not exist`, {
      cause: error,
    });
  }
  if (isFault(error) || code === undefined) return error;
  if (/^SQLITE_(NOTADB|CORRUPT|FORMAT|SCHEMA)/.test(code)) {
    return new Fault('database-invalid', `${file} is damaged or no database of this program (${code})`, {
      cause: error,
    });
  }
  if (/^SQLITE_(BUSY|LOCKED)/.test(code)) {
    return new Fault('database-in-use', `${file} is being written by another program`, { cause: error });
  }
  if (/^SQLITE_(CANTOPEN|PERM|READONLY|AUTH)/.test(code)) {
    return new Fault(
      'file-unreadable',
      `${file} cannot be opened: check the permissions of it and of its folder, and run the command as the user it belongs to (${code})`,
      { cause: error },
    );
  }
  return error;
}

function checkFile(file: string): void {
  let directory: boolean;
  try {
    directory = statSync(file).isDirectory();
  } catch (error) {
    throw unreadable(file, error);
  }
  if (directory) throw unreadable(file, { code: 'EISDIR' });
}

function checkFormat(db: Sqlite, file: string, format: DatabaseFormat): void {
  const applicationId = db.pragma('application_id', { simple: true });
  const version = db.pragma('user_version', { simple: true });
  if (applicationId !== format.applicationId || typeof version !== 'number' || version < 1) {
    throw new Fault('database-invalid', `${file} is no ${format.name} database of this program`);
  }
  if (version < format.version) {
    throw new Fault(
      'database-invalid',
      `${file} has ${format.name} format ${version}, which this program reads no more; put it aside and let it be made anew`,
    );
  }
  if (version > format.version) {
    throw new Fault(
      'database-newer',
      `${file} has ${format.name} format ${version}, this program knows up to ${format.version}; update the program`,
    );
  }
}
