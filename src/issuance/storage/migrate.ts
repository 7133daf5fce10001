import type { Kysely } from 'kysely';
import { Fault } from '#core/fault.ts';
import type { DatabaseKind } from '#ports/database-place.ts';
import type { OpenedDatabase } from './databases.ts';
import { type Migration, TableMaker } from './tables.ts';

interface FormatTables {
  database_format: { kind: string; version: number };
}

/**
 * Brings a database to the version of this program: the number of its `migrations`. All steps and the new number are
 * one transaction, so that a crash leaves the old version or the new one.
 *
 * @throws Fault `database-newer`, or `database-invalid` for a database of another kind
 */
export async function migrate(
  db: Kysely<unknown>,
  opened: Pick<OpenedDatabase, 'types' | 'lock' | 'protect'>,
  { kind, migrations }: { readonly kind: DatabaseKind; readonly migrations: readonly Migration[] },
): Promise<void> {
  await db.transaction().execute(async (transaction) => {
    await opened.lock(transaction);
    const tables = new TableMaker({ db: transaction, types: opened.types });
    const formats = transaction as unknown as Kysely<FormatTables>;
    const version = await versionOf(formats, tables, kind);
    if (version > migrations.length) {
      throw new Fault(
        'database-newer',
        `the ${kind} database has version ${version}, this program knows up to ${migrations.length}; update the program`,
      );
    }
    if (version === migrations.length && version > 0) return;
    for (const step of migrations.slice(version)) await step(tables);
    await formats.updateTable('database_format').set({ version: migrations.length }).execute();
    await opened.protect(transaction);
  });
}

async function versionOf(db: Kysely<FormatTables>, tables: TableMaker, kind: DatabaseKind): Promise<number> {
  const columns = { kind: 'text', version: 'integer' } as const;
  await tables.table('database_format', columns, ['kind'], { unlessThere: true });
  const format = await db.selectFrom('database_format').selectAll().executeTakeFirst();
  if (!format) {
    await db.insertInto('database_format').values({ kind, version: 0 }).execute();
    return 0;
  }
  if (format.kind !== kind) {
    throw new Fault('database-invalid', `this is a ${format.kind} database where a ${kind} database belongs`);
  }
  return format.version;
}
