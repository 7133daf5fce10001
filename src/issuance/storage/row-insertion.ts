import { CompiledQuery, PostgresAdapter, type Transaction } from 'kysely';

type Value = string | number | Uint8Array | null;
/** a type of a column, of which an array can be made on PostgreSQL */
type ColumnType = 'text' | 'bigint' | 'bytea';

/** of one statement on SQLite, of which there are then as many texts */
const rowsOfStatements = [100, 10, 1];
/** of one statement on PostgreSQL */
const mostRows = 5_000;

/** What is done with a row whose key is there already: it is left as it is, or takes other values. */
type Existing = 'kept' | { readonly key: string; readonly changed: readonly string[] };

/**
 * Inserts many rows of one table at the speed of the database: nothing but values differs from one statement to the next,
 * so that none is written or prepared anew. A query builder alone takes as long as the database does.
 */
export class RowInsertion {
  readonly #table: string;
  readonly #columns: Readonly<Record<string, ColumnType>>;
  readonly #end: string;
  readonly #texts = new Map<string, string>();

  constructor(parts: {
    readonly table: string;
    readonly columns: Readonly<Record<string, ColumnType>>;
    readonly existing?: Existing;
  }) {
    this.#table = parts.table;
    this.#columns = parts.columns;
    this.#end = parts.existing ? ` on conflict ${resolutionOf(parts.existing)}` : '';
  }

  /** `rows`: values in the order of the columns. Where it rejects, some may be there: the transaction is to fail. */
  async insert<T>(db: Transaction<T>, rows: readonly (readonly Value[])[]): Promise<void> {
    if (db.getExecutor().adapter instanceof PostgresAdapter) {
      for (let at = 0; at < rows.length; at += mostRows)
        await this.#unnest(db, rows.slice(at, at + mostRows));
      return;
    }
    let at = 0;
    for (const count of rowsOfStatements) {
      for (; at + count <= rows.length; at += count) await this.#values(db, rows.slice(at, at + count));
    }
  }

  async #values<T>(db: Transaction<T>, rows: readonly (readonly Value[])[]): Promise<void> {
    const names = Object.keys(this.#columns);
    // to take back a statement alone, SQLite would copy each page before it changes it (sqlite.org/tempfiles.html, 2.5)
    const text = this.#text(`values ${rows.length}`, 'insert or fail', () => {
      const row = `(${names.map(() => '?').join(', ')})`;
      return `values ${rows.map(() => row).join(', ')}`;
    });
    await db.executeQuery(CompiledQuery.raw(text, rows.flat()));
  }

  async #unnest<T>(db: Transaction<T>, rows: readonly (readonly Value[])[]): Promise<void> {
    const types = Object.values(this.#columns);
    const text = this.#text('unnest', 'insert', () => {
      const arrays = types.map((type, at) => `$${at + 1}::${type}[]`);
      return `select * from unnest(${arrays.join(', ')})`;
    });
    const columns = types.map((_, column) => rows.map((row) => row[column] ?? null));
    await db.executeQuery(CompiledQuery.raw(text, columns));
  }

  #text(kind: string, insert: string, source: () => string): string {
    const known = this.#texts.get(kind);
    if (known !== undefined) return known;
    const names = Object.keys(this.#columns).map((name) => `"${name}"`);
    const text = `${insert} into "${this.#table}" (${names.join(', ')}) ${source()}${this.#end}`;
    this.#texts.set(kind, text);
    return text;
  }
}

function resolutionOf(existing: Existing): string {
  if (existing === 'kept') return 'do nothing';
  const changes = existing.changed.map((name) => `"${name}" = excluded."${name}"`);
  return `("${existing.key}") do update set ${changes.join(', ')}`;
}
