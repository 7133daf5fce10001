import type { Statement } from 'better-sqlite3';
import type { Facts, StateChange } from '#core/access/access-state.ts';
import { canonicalJson } from '#core/journal/canonical-json.ts';
import type { JsonValue } from '#core/journal/record.ts';
import type { FactQuery, StoredFact } from '#ports/holder-facts.ts';
import { guarded, isBlank, openDatabase, type Sqlite } from './database.ts';
import { journalFormat } from './journal-format.ts';

/** the owner of facts about the terminal as a whole */
const everybody = '';

interface FactRow {
  readonly key: string;
  readonly value: string;
}

/** Writes facts inside the transaction of the entry that changes them. */
export class FactsWriter {
  readonly #put: Statement<[string, string, string]>;
  readonly #forget: Statement<[string, string]>;

  constructor(db: Sqlite) {
    this.#put = db.prepare('INSERT OR REPLACE INTO facts (holder_id, key, value) VALUES (?, ?, ?)');
    this.#forget = db.prepare('DELETE FROM facts WHERE holder_id = ? AND key = ?');
  }

  apply(changes: readonly StateChange[]): void {
    for (const { holderId = everybody, key, value } of changes) {
      if (value === undefined) this.#forget.run(holderId, key);
      else this.#put.run(holderId, key, canonicalJson(value));
    }
  }
}

/** The facts about the terminal as a whole. */
export function sharedFacts(db: Sqlite): Facts {
  return readFacts(factsOf(db), everybody);
}

/** The facts of one holder. */
export function factsOfHolder(db: Sqlite, holderId: string): Facts {
  return readFacts(factsOf(db), holderId);
}

/** The fact `key` of each holder who has it, one after the other. */
export function* eachHolders(
  db: Sqlite,
  key: string,
): Iterable<{ readonly holderId: string; readonly value: JsonValue }> {
  const rows = db
    .prepare<[string, string], { holderId: string; value: string }>(
      'SELECT holder_id AS holderId, value FROM facts WHERE key = ? AND holder_id <> ?',
    )
    .iterate(key, everybody);
  for (const { holderId, value } of rows) yield { holderId, value: JSON.parse(value) as JsonValue };
}

/** Facts by the beginning of their keys, in the order of holders and keys. */
export function factsPage(db: Sqlite, { prefix, after, limit }: FactQuery): readonly StoredFact[] {
  const rows = db
    .prepare<[string, string, string, string, number], { holderId: string; key: string; value: string }>(
      `SELECT holder_id AS holderId, key, value FROM facts
       WHERE (holder_id, key) > (?, ?) AND substr(key, 1, length(?)) = ?
       ORDER BY holder_id, key LIMIT ?`,
    )
    .all(after?.holderId ?? '', after?.key ?? '', prefix, prefix, limit);
  return rows.map(({ value, ...row }) => ({ ...row, value: JSON.parse(value) as JsonValue }));
}

/** The facts of each holder of whom there are any. */
export function* holderFacts(db: Sqlite): Iterable<readonly [holderId: string, facts: Facts]> {
  const holders = db
    .prepare<[string], string>('SELECT DISTINCT holder_id FROM facts WHERE holder_id <> ?')
    .pluck()
    .all(everybody);
  const facts = factsOf(db);
  for (const holderId of holders) yield [holderId, readFacts(facts, holderId)];
}

/**
 * Reads the facts of holders from the journal `file`, also while it is written; a journal not made yet has none. For
 * a thread that may wait for the disk.
 */
export class FactsReader {
  readonly #file: string;
  #open: { readonly db: Sqlite; readonly of: Statement<[string], FactRow> } | undefined;

  constructor(file: string) {
    this.#file = file;
  }

  /** Throws database faults. */
  of(holderId: string): Facts {
    return guarded(this.#file, () => {
      if (!this.#open) {
        if (isBlank(this.#file)) return new Map();
        const db = openDatabase(this.#file, journalFormat, { readonly: true });
        this.#open = { db, of: factsOf(db) };
      }
      return readFacts(this.#open.of, holderId);
    });
  }
}

function factsOf(db: Sqlite): Statement<[string], FactRow> {
  return db.prepare('SELECT key, value FROM facts WHERE holder_id = ?');
}

function readFacts(statement: Statement<[string], FactRow>, holderId: string): Facts {
  return new Map(statement.all(holderId).map(({ key, value }) => [key, JSON.parse(value) as JsonValue]));
}
