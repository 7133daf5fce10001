import { CompiledQuery, type Kysely, PostgresAdapter } from 'kysely';

type Value = string | number | Uint8Array | null;
/** a type of a column, of which an array can be made on PostgreSQL */
type ColumnType = 'text' | 'bigint' | 'bytea';

/** of one statement on SQLite, of which there are then as many texts */
const rowsOfStatements = [100, 10, 1];
/** of one statement on PostgreSQL */
const mostRows = 5_000;

/**
 * Inserts many rows of one table at the speed of the database: nothing but values differs from one statement to the next,
 * so that none is written or prepared anew. A query builder alone takes as long as the database does.
 */
export class RowInsertion {
  readonly #table: string;
  readonly #columns: Readonly<Record<string, ColumnType>>;
  readonly #end: string;
  readonly #texts = new Map<string, string>();

  /** `unlessThere`: a row whose key is there already is left as it is */
  constructor(parts: {
    readonly table: string;
    readonly columns: Readonly<Record<string, ColumnType>>;
    readonly unlessThere?: boolean;
  }) {
    this.#table = parts.table;
    this.#columns = parts.columns;
    this.#end = parts.unlessThere ? ' on conflict do nothing' : '';
  }

  /** `rows`: values in the order of the columns. */
  async insert<T>(db: Kysely<T>, rows: readonly (readonly Value[])[]): Promise<void> {
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

  async #values<T>(db: Kysely<T>, rows: readonly (readonly Value[])[]): Promise<void> {
    const names = Object.keys(this.#columns);
    const text = this.#text(`values ${rows.length}`, () => {
      const row = `(${names.map(() => '?').join(', ')})`;
      return `values ${rows.map(() => row).join(', ')}`;
    });
    await db.executeQuery(CompiledQuery.raw(text, rows.flat()));
  }

  async #unnest<T>(db: Kysely<T>, rows: readonly (readonly Value[])[]): Promise<void> {
    const types = Object.values(this.#columns);
    const text = this.#text('unnest', () => {
      const arrays = types.map((type, at) => `$${at + 1}::${type}[]`);
      return `select * from unnest(${arrays.join(', ')})`;
    });
    const columns = types.map((_, column) => rows.map((row) => row[column] ?? null));
    await db.executeQuery(CompiledQuery.raw(text, columns));
  }

  #text(kind: string, source: () => string): string {
    const known = this.#texts.get(kind);
    if (known !== undefined) return known;
    const names = Object.keys(this.#columns).map((name) => `"${name}"`);
    const text = `insert into "${this.#table}" (${names.join(', ')}) ${source()}${this.#end}`;
    this.#texts.set(kind, text);
    return text;
  }
}
