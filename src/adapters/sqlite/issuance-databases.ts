import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import Database, { type Statement } from 'better-sqlite3';
import { type DatabaseConnection, type Dialect, type Kysely, SqliteDialect, SqliteDriver } from 'kysely';
import { giveToOwnerOf, makeFolder } from '#adapters/process/ownership.ts';
import { Fault, isFault } from '#core/fault.ts';
import type { DatabasePlace } from '#ports/database-place.ts';
import {
  type DatabaseFormat,
  guarded,
  isBlank,
  openDatabase,
  type Sqlite,
  sqliteCode,
  stampFormat,
} from './database.ts';

/** `KzIs`; which tables there are is told by a table, as on every other kind of database */
const issuanceFormat: DatabaseFormat = { name: 'issuance', applicationId: 0x4b7a4973, version: 1 };

/** how many prepared statements are kept: those of requests have few forms, those of bulk work many */
const statementsKept = 200;
/** how long a change waits for those of other processes, none of which lasts longer than some milliseconds */
const lockWithinMs = 10_000;
/** how long anything but the beginning of a transaction waits, which is rare: SQLite recovering a file */
const busyMs = 1_000;

/**
 * The databases of the issuance server as files below `directory`: `platform.sqlite` and, of each organization,
 * `organizations/<id>/permissions.sqlite` and `journal.sqlite`. A call waits for the disk on the thread that makes it.
 */
export class SqliteDatabases {
  readonly copyForm = 'sqlite';
  readonly #directory: string;

  constructor(parts: { readonly directory: string }) {
    this.#directory = parts.directory;
  }

  async open(place: DatabasePlace) {
    const file = this.#fileOf(place);
    makeWhereAbsent(file);
    const db = openDatabase(file, issuanceFormat, { readonly: false });
    for (const setting of place.kind === 'journal' ? journalSettings : otherSettings) db.pragma(setting);
    return {
      dialect: new ImmediateDialect({ database: new GuardedDatabase({ file, db }) }) as Dialect,
      types: {
        text: 'text',
        integer: 'integer',
        bytes: 'blob',
        tableEnd: 'strict, without rowid',
        heapEnd: 'strict',
      } as const,
      // a transaction has the lock from its beginning, and a file belongs to one organization alone
      lock: async (_db: Kysely<unknown>) => undefined,
      protect: async (_db: Kysely<unknown>) => undefined,
    };
  }

  async save(place: DatabasePlace, file: string): Promise<void> {
    const original = openDatabase(this.#fileOf(place), issuanceFormat, { readonly: true });
    try {
      // one read transaction: whoever writes meanwhile is not held up, and is not in the copy
      original.prepare('vacuum into ?').run(file);
    } catch (error) {
      throw new Fault(
        'backup-failed',
        `${file} could not be written (${sqliteCode(error) ?? String(error)})`,
        {
          cause: error,
        },
      );
    } finally {
      original.close();
    }
  }

  async check(file: string): Promise<void> {
    try {
      const copy = openDatabase(file, issuanceFormat, { readonly: true });
      try {
        guarded(file, () => checkWhole(copy, file));
      } finally {
        copy.close();
      }
    } catch (error) {
      if (!isFault(error, 'database-invalid')) throw error;
      throw new Fault('backup-invalid', error.message, { cause: error });
    }
  }

  async restore(place: DatabasePlace, file: string): Promise<void> {
    const target = this.#fileOf(place);
    if (existsSync(target)) throw new Fault('argument-invalid', `${target} is there already`);
    await this.check(file);
    makeFolder(dirname(target));
    await copyFile(file, target);
    giveToOwnerOf(dirname(target), target);
    const db = openDatabase(target, issuanceFormat, { readonly: false });
    db.pragma('journal_mode = WAL');
    db.close();
  }

  #fileOf(place: DatabasePlace): string {
    if (place.kind === 'platform') return join(this.#directory, 'platform.sqlite');
    return join(this.#directory, 'organizations', place.organization.id, `${place.kind}.sqlite`);
  }
}

/** A commit of journals may write 16 MB: pages that several change are moved out of the log once. */
export const journalSettings: readonly string[] = ['cache_size = -16000', 'wal_autocheckpoint = 8000'];
const otherSettings: readonly string[] = ['wal_autocheckpoint = 1000'];

/** Walks every page and index. */
function checkWhole(db: Sqlite, file: string): void {
  const found = db.pragma('integrity_check(1)', { simple: true });
  if (found !== 'ok') throw new Fault('backup-invalid', `${file} is damaged: ${String(found)}`);
}

function makeWhereAbsent(file: string): void {
  if (!isBlank(file)) return;
  makeFolder(dirname(file));
  guarded(file, () => {
    const db = new Database(file);
    try {
      db.pragma('journal_mode = WAL');
      db.transaction(() => stampFormat(db, issuanceFormat)).immediate();
      giveToOwnerOf(dirname(file), file);
    } finally {
      db.close();
    }
  });
}

/** As `guarded`; a disk that is full or fails is `database-unavailable`, as of any database that does not serve for now. */
function served<T>(file: string, action: () => T): T {
  try {
    return guarded(file, action);
  } catch (error) {
    const code = sqliteCode(error);
    if (isFault(error) || !code || !/^SQLITE_(FULL|IOERR)/.test(code)) throw error;
    const what = code === 'SQLITE_FULL' ? 'its disk is full' : 'its disk fails';
    throw new Fault('database-unavailable', `${file} cannot be written or read: ${what} (${code})`, {
      cause: error,
    });
  }
}

/** Keeps statements prepared, and turns what SQLite reports into faults. */
class GuardedDatabase {
  readonly #file: string;
  readonly #db: Sqlite;
  readonly #statements = new Map<string, Statement<unknown[]>>();

  constructor(parts: { readonly file: string; readonly db: Sqlite }) {
    this.#file = parts.file;
    this.#db = parts.db;
  }

  prepare(sql: string) {
    const statement = served(this.#file, () => this.#prepared(sql));
    const guard = <T>(action: () => T) => served(this.#file, action);
    return {
      reader: statement.reader,
      all: (parameters: readonly unknown[]) => guard(() => statement.all(...parameters)),
      run: (parameters: readonly unknown[]) => guard(() => statement.run(...parameters)),
      iterate: (parameters: readonly unknown[]) => guard(() => statement.iterate(...parameters)),
    };
  }

  /** Whether a transaction has begun; `last`: a lock that another process has is then a fault. */
  begin(last: boolean): boolean {
    this.#db.pragma('busy_timeout = 0');
    try {
      this.#db.exec('begin immediate');
      return true;
    } catch (error) {
      if (!last && sqliteCode(error) === 'SQLITE_BUSY') return false;
      return served(this.#file, () => {
        throw error;
      });
    } finally {
      this.#db.pragma(`busy_timeout = ${busyMs}`);
    }
  }

  get inTransaction(): boolean {
    return this.#db.inTransaction;
  }

  close(): void {
    this.#statements.clear();
    this.#db.close();
  }

  #prepared(sql: string): Statement<unknown[]> {
    const kept = this.#statements.get(sql);
    if (kept) return kept;
    const statement = this.#db.prepare<unknown[]>(sql);
    const oldest = this.#statements.keys().next();
    if (this.#statements.size >= statementsKept && !oldest.done) this.#statements.delete(oldest.value);
    this.#statements.set(sql, statement);
    return statement;
  }
}

/**
 * A transaction that began by reading could not write any more once another process has written, so each takes the
 * lock as it begins. Where another process has it, this one waits without holding up the thread.
 */
class ImmediateDriver extends SqliteDriver {
  readonly #database: GuardedDatabase;

  constructor(config: { readonly database: GuardedDatabase }) {
    super(config);
    this.#database = config.database;
  }

  override async beginTransaction(): Promise<void> {
    const patienceEndsMs = performance.now() + lockWithinMs;
    while (!this.#database.begin(performance.now() >= patienceEndsMs)) {
      // of several that wait, none is always the last
      await setTimeout(1 + randomInt(4));
    }
  }

  /** A disk that is full or fails takes everything back by itself: to do so again would hide what was wrong. */
  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    if (this.#database.inTransaction) await super.rollbackTransaction(connection);
  }
}

class ImmediateDialect extends SqliteDialect {
  readonly #config: { readonly database: GuardedDatabase };

  constructor(config: { readonly database: GuardedDatabase }) {
    super(config);
    this.#config = config;
  }

  override createDriver(): SqliteDriver {
    return new ImmediateDriver(this.#config);
  }
}
