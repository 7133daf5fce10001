import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { giveToOwnerOf } from '#adapters/process/ownership.ts';
import { madeRulesShape } from '#core/access/made-rules.ts';
import type { SiteRules } from '#core/access/site-rules.ts';
import { Fault } from '#core/fault.ts';
import { type DatabaseFormat, guarded, isBlank, openDatabase, type Sqlite, stampFormat } from './database.ts';
import { distributedTables } from './distributed-format.ts';

/** `KzPo` */
export const policyFormat: DatabaseFormat = { name: 'policy', applicationId: 0x4b7a506f, version: 3 };

const undoTables = (parity: number) => `
  CREATE TABLE undo_holders_${parity} (
    holder_id TEXT PRIMARY KEY,
    status TEXT,
    valid_from_ms INTEGER,
    valid_until_ms INTEGER,
    group_list TEXT
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE undo_cards_${parity} (
    profile_id TEXT NOT NULL,
    user_number TEXT NOT NULL,
    diversifier TEXT NOT NULL,
    holder_id TEXT,
    status TEXT,
    key_version INTEGER,
    PRIMARY KEY (profile_id, user_number, diversifier)
  ) STRICT, WITHOUT ROWID;
`;

/**
 * The rules are one row of JSON, small and read as a whole; holders and cards are looked up by key. A card without
 * a diversifier has the empty one and stands for any card with the user number. `group_list` is sorted, each name
 * between semicolons (`;cleaning;staff;`), empty for none. The `undo_` tables hold what the last version changed, as it was
 * before; without a status there was no such row. Of each there are two (policy-undo.ts).
 */
const tables = `
  CREATE TABLE policy (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    number INTEGER NOT NULL,
    installed_at_ms INTEGER NOT NULL,
    fresh_at_ms INTEGER,
    expires_at_ms INTEGER,
    rules TEXT NOT NULL
  ) STRICT;
  CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE holders (
    holder_id TEXT PRIMARY KEY,
    status TEXT NOT NULL,
    valid_from_ms INTEGER,
    valid_until_ms INTEGER,
    group_list TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE cards (
    profile_id TEXT NOT NULL,
    user_number TEXT NOT NULL,
    diversifier TEXT NOT NULL,
    holder_id TEXT NOT NULL,
    status TEXT NOT NULL,
    key_version INTEGER,
    PRIMARY KEY (profile_id, user_number, diversifier)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX cards_by_holder ON cards (holder_id);
  CREATE TABLE undo_policy (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    number INTEGER NOT NULL,
    installed_at_ms INTEGER NOT NULL,
    fresh_at_ms INTEGER,
    expires_at_ms INTEGER,
    rules TEXT NOT NULL
  ) STRICT;
  ${undoTables(0)}
  ${undoTables(1)}
  CREATE INDEX cards_by_diversifier ON cards (profile_id, diversifier) WHERE diversifier <> '';
  ${distributedTables}
`;

export interface PolicyRow {
  readonly number: number;
  readonly installed_at_ms: number;
  readonly fresh_at_ms: number | null;
  readonly expires_at_ms: number | null;
  readonly rules: string;
}

export interface CardRow {
  readonly profile_id: string;
  readonly user_number: string;
  readonly diversifier: string;
  readonly holder_id: string;
  readonly status: string;
  readonly key_version: number | null;
}

export interface HolderRecordRow {
  readonly holder_id: string;
  readonly status: string;
  readonly valid_from_ms: number | null;
  readonly valid_until_ms: number | null;
  readonly group_list: string;
}

/** Opens the policy database for writing, making it where there is none. Throws database faults. */
export function openPolicyForWriting(file: string): Sqlite {
  if (isBlank(file)) {
    guarded(file, () => {
      const db = new Database(file);
      try {
        db.pragma('journal_mode = WAL');
        db.transaction(() => {
          db.exec(tables);
          stampFormat(db, policyFormat);
        }).immediate();
        giveToOwnerOf(dirname(file), file);
      } finally {
        db.close();
      }
    });
  }
  return openDatabase(file, policyFormat, { readonly: false });
}

/** The installed policy; undefined before the first install. */
export function readPolicyRow(db: Sqlite): PolicyRow | undefined {
  return db.prepare<[], PolicyRow>('SELECT * FROM policy').get();
}

/** The rules of a version. Throws `database-invalid` where they are not as this program stores them. */
export function parseRules(row: PolicyRow): SiteRules {
  let stored: unknown;
  try {
    stored = JSON.parse(row.rules);
  } catch (cause) {
    throw new Fault('database-invalid', 'the stored rules cannot be read', { cause });
  }
  const where = madeRulesShape(stored);
  if (where.length > 0) {
    throw new Fault(
      'database-invalid',
      `the stored rules are not as this program writes them: ${where.join(', ')}`,
    );
  }
  return stored as SiteRules;
}

/** Whether a server looks after this policy, so that local imports are refused. */
export function isEnrolled(db: Sqlite): boolean {
  return db.prepare("SELECT 1 FROM settings WHERE name = 'enrolled' AND value = 'true'").get() !== undefined;
}

/** From then on a server looks after this policy. */
export function enrol(db: Sqlite): void {
  db.prepare("INSERT OR REPLACE INTO settings VALUES ('enrolled', 'true')").run();
}

/** Forgets what was put together on the device, once a policy of the server is in force. */
export function forgetImported(db: Sqlite): void {
  const versions = [0, 1].map(
    (parity) => `DELETE FROM undo_holders_${parity}; DELETE FROM undo_cards_${parity};`,
  );
  db.exec(`
    ${versions.join('')}
    DELETE FROM policy; DELETE FROM undo_policy; DELETE FROM holders; DELETE FROM cards;
    DELETE FROM settings WHERE name = 'holders';
  `);
}

export function groupList(groups: readonly string[]): string {
  return groups.length === 0 ? '' : `;${groups.join(';')};`;
}

export function groupsOf(list: string): readonly string[] {
  return list === '' ? [] : list.slice(1, -1).split(';');
}
