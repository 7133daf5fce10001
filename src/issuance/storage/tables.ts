import {
  type ColumnDataType,
  type CreateTableBuilder,
  type Kysely,
  type RawBuilder,
  type SqlBool,
  sql,
} from 'kysely';

/** How one kind of database calls the types of columns that the server uses. */
export interface ColumnTypes {
  /** compared byte by byte, so that an order is the same everywhere */
  readonly text: ColumnDataType | RawBuilder<unknown>;
  /** whole numbers within those that JavaScript holds exactly */
  readonly integer: ColumnDataType;
  readonly bytes: ColumnDataType;
  /** what follows the columns of a table */
  readonly tableEnd: string;
  /** the same where rows are kept in the order in which they come, apart from their key */
  readonly heapEnd: string;
}

type ColumnType = 'text' | 'integer' | 'bytes';

/** Columns by name; with `?` a column may be null. */
export type Columns = Readonly<Record<string, ColumnType | `${ColumnType}?`>>;

/** Makes tables and indexes that are the same on every kind of database. */
export class TableMaker {
  readonly #db: Kysely<unknown>;
  readonly #types: ColumnTypes;

  constructor(parts: { readonly db: Kysely<unknown>; readonly types: ColumnTypes }) {
    this.#db = parts.db;
    this.#types = parts.types;
  }

  /**
   * Makes a table, or leaves it where `unlessThere` and it is there. `heap`: of rows too large to lie in the order of their
   * key, in which each that comes between others would make pages split (sqlite.org/withoutrowid.html, 4).
   */
  async table(
    name: string,
    columns: Columns,
    primaryKey: readonly string[],
    { unlessThere = false, heap = false } = {},
  ): Promise<void> {
    let builder: CreateTableBuilder<string, string> = this.#db.schema.createTable(name);
    if (unlessThere) builder = builder.ifNotExists();
    for (const [column, written] of Object.entries(columns)) {
      const nullable = written.endsWith('?');
      const type = this.#types[written.replace('?', '') as ColumnType];
      builder = builder.addColumn(column, type, (made) => (nullable ? made : made.notNull()));
    }
    await builder
      .modifyEnd(sql`${sql.raw(heap ? this.#types.heapEnd : this.#types.tableEnd)}`)
      .addPrimaryKeyConstraint(`${name}_key`, [...primaryKey])
      .execute();
  }

  /** `where`: of the rows alone of which this is true; whoever looks for them has to say it in the same words. */
  async index(name: string, table: string, columns: readonly string[], where?: string): Promise<void> {
    const index = this.#db.schema
      .createIndex(name)
      .on(table)
      .columns([...columns]);
    await (where === undefined ? index : index.where(sql<SqlBool>`${sql.raw(where)}`)).execute();
  }

  /** A row that a table begins with. */
  async row(table: string, values: Readonly<Record<string, string | number>>): Promise<void> {
    await (this.#db as Kysely<Record<string, Record<string, string | number>>>)
      .insertInto(table)
      .values(values)
      .execute();
  }
}

/** One step from a version of a database to the next. */
export type Migration = (tables: TableMaker) => Promise<void>;
