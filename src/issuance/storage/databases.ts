import { type Dialect, Kysely } from 'kysely';
import type { DatabasePlace, OrganizationPlace } from '#ports/database-place.ts';
import type { JournalTables } from './journal-tables.ts';
import { migrate } from './migrate.ts';
import { journalMigrations, permissionsMigrations, platformMigrations } from './migrations.ts';
import type { PermissionsTables } from './permissions-tables.ts';
import type { PlatformTables } from './platform-tables.ts';
import type { ColumnTypes, Migration } from './tables.ts';

/** A database as an adapter has opened it. */
export interface OpenedDatabase {
  readonly dialect: Dialect;
  readonly types: ColumnTypes;
  /** Inside a transaction: holds off every other process that migrates this database, until the transaction ends. */
  lock(db: Kysely<unknown>): Promise<void>;
  /** Inside the transaction that made tables: lets nobody but the organization of the database see their rows. */
  protect(db: Kysely<unknown>): Promise<void>;
}

/** Where databases are: files of SQLite or schemas of PostgreSQL. */
export interface DatabaseSource {
  /**
   * Opens a database, making it where there is none. Rejects with `database-invalid`, `database-in-use`,
   * `database-unavailable` or `file-unreadable`.
   */
  open(place: DatabasePlace): Promise<OpenedDatabase>;
  /** what the name of a copy ends with, and so what is needed to read it */
  readonly copyForm: 'sqlite' | 'pgdump';
  /**
   * Writes the database as it is at one moment to `file`, which is not there yet; others go on using it. Rejects as
   * `open`, and with `backup-failed`.
   */
  save(place: DatabasePlace, file: string): Promise<void>;
  /** Reads all of what `save` wrote. Rejects with `backup-invalid`, or `backup-failed` where it could not be read. */
  check(file: string): Promise<void>;
  /**
   * Makes the database of what `save` wrote, where there is none yet. Rejects with `argument-invalid` where there is
   * one, and `backup-invalid` for a file that `save` did not write; nothing is in its place then.
   */
  restore(place: DatabasePlace, file: string): Promise<void>;
}

export type PlatformDatabase = Kysely<PlatformTables>;
export type PermissionsDatabase = Kysely<PermissionsTables>;
export type JournalDatabase = Kysely<JournalTables>;

const migrations: Readonly<Record<DatabasePlace['kind'], readonly Migration[]>> = {
  platform: platformMigrations,
  permissions: permissionsMigrations,
  journal: journalMigrations,
};

export interface DatabasesParts {
  readonly source: DatabaseSource;
  /** How long a statement took, for metrics. */
  readonly took?: (kind: DatabasePlace['kind'], seconds: number) => void;
}

/**
 * The databases of the server, each opened and brought to the version of this program when it is first asked for.
 * What belongs to one organization is in databases that nothing of another organization can reach.
 */
export class Databases {
  readonly #source: DatabaseSource;
  readonly #took: DatabasesParts['took'];
  readonly #open = new Map<string, Promise<Kysely<unknown>>>();

  constructor({ source, took }: DatabasesParts) {
    this.#source = source;
    this.#took = took;
  }

  /** Rejects as `DatabaseSource.open`, and with `database-newer`. So do the others. */
  async platform(): Promise<PlatformDatabase> {
    return (await this.#opened({ kind: 'platform' })) as PlatformDatabase;
  }

  async permissions(organization: OrganizationPlace): Promise<PermissionsDatabase> {
    return (await this.#opened({ kind: 'permissions', organization })) as PermissionsDatabase;
  }

  async journal(organization: OrganizationPlace): Promise<JournalDatabase> {
    return (await this.#opened({ kind: 'journal', organization })) as JournalDatabase;
  }

  async stop(): Promise<void> {
    const open = [...this.#open.values()];
    this.#open.clear();
    for (const opening of open) {
      await opening.then(
        (db) => db.destroy(),
        () => undefined,
      );
    }
  }

  #opened(place: DatabasePlace): Promise<Kysely<unknown>> {
    const key = 'organization' in place ? `${place.kind} ${place.organization.id}` : place.kind;
    let opening = this.#open.get(key);
    if (!opening) {
      opening = this.#start(place);
      this.#open.set(key, opening);
      // one that did not open is tried again by whoever asks next
      opening.catch(() => this.#open.delete(key));
    }
    return opening;
  }

  async #start(place: DatabasePlace): Promise<Kysely<unknown>> {
    const opened = await this.#source.open(place);
    const took = this.#took;
    const db = new Kysely<unknown>({
      dialect: opened.dialect,
      ...(took && { log: ({ queryDurationMillis }) => took(place.kind, queryDurationMillis / 1_000) }),
    });
    try {
      await migrate(db, opened, { kind: place.kind, migrations: migrations[place.kind] });
      return db;
    } catch (error) {
      await db.destroy();
      throw error;
    }
  }
}
