import { sql } from 'kysely';
import type { ImportState } from '../storage/permissions-tables.ts';
import { findImport, importOf } from './import-requests.ts';
import { ImportRun, type ListImporterParts } from './import-run.ts';
import { rowsAtOnce } from './list-comparison.ts';

/**
 * Reads lists of holders and finds what they would change. Nothing of it is in force before a person has decided it. It
 * writes a few rows at a time, so that nobody who suspends a holder meanwhile waits for it.
 */
export class ListImporter {
  readonly #parts: ListImporterParts;

  constructor(parts: ListImporterParts) {
    this.#parts = parts;
  }

  /** To be called once before the first `work`: what a crash cut off begins anew. */
  async recover(): Promise<void> {
    const { ledger, files } = this.#parts;
    const rows = await ledger.db.selectFrom('imports').selectAll().where('state', '=', 'working').execute();
    for (const { import_id: id } of rows) {
      if (!(await files.has(id))) continue;
      await this.#clear('import_rows', id);
      await this.#clear('planned_changes', id);
      await this.#setState(id, 'working', 'received');
    }
  }

  /** Works through one list that waits, if there is any. Resolves to whether there was one. */
  async work(): Promise<boolean> {
    const { ledger, files } = this.#parts;
    await this.#tidy();
    const waiting = await ledger.db
      .selectFrom('imports')
      .selectAll()
      .where('state', '=', 'received')
      .orderBy('made_at_ms')
      .execute();
    for (const row of waiting) {
      const { import_id: id } = row;
      if (!(await files.has(id)) || !(await this.#setState(id, 'received', 'working'))) continue;
      const run = new ImportRun({ ...this.#parts, list: importOf(row) });
      const { state, bug } = await run.run();
      await this.#clear('import_rows', id);
      if (state !== 'ready') await this.#clear('planned_changes', id);
      await files.remove(id);
      // the list is not taken up again, so that it cannot do this twice
      if (bug !== undefined) throw bug;
      return true;
    }
    return false;
  }

  /** Removes what lists have left that were given up, and files of none. */
  async #tidy(): Promise<void> {
    const { ledger, files } = this.#parts;
    for (const { id, abandoned } of await files.names()) {
      const list = await findImport(ledger.db, id);
      if (list ? list.state !== 'received' && list.state !== 'working' : abandoned) await files.remove(id);
    }
    const { rows } = await sql<{ import_id: string }>`
      select i.import_id from imports i where i.state = 'cancelled' and (
        exists (select 1 from planned_changes p where p.change_set_id = i.import_id)
        or exists (select 1 from import_rows r where r.import_id = i.import_id))`.execute(ledger.db);
    for (const { import_id: id } of rows) {
      await this.#clear('import_rows', id);
      await this.#clear('planned_changes', id);
    }
  }

  async #setState(id: string, from: ImportState, to: ImportState): Promise<boolean> {
    return this.#parts.ledger.db.transaction().execute(async (db) => {
      const set = await db
        .updateTable('imports')
        .set({ state: to })
        .where('import_id', '=', id)
        .where('state', '=', from)
        .executeTakeFirst();
      return set.numUpdatedRows === 1n;
    });
  }

  /** Takes rows out a few holders at a time. */
  async #clear(table: 'import_rows' | 'planned_changes', id: string): Promise<void> {
    const { ledger, pause } = this.#parts;
    const of = sql.ref(table === 'import_rows' ? 'import_id' : 'change_set_id');
    for (let left = true; left; ) {
      left = await ledger.db.transaction().execute(async (db) => {
        const { rows } = await sql<{ holder_id: string }>`
          select distinct holder_id from ${sql.table(table)} where ${of} = ${id}
          order by holder_id limit ${rowsAtOnce}`.execute(db);
        const ids = rows.map((row) => row.holder_id);
        if (ids.length === 0) return false;
        await sql`delete from ${sql.table(table)} where ${of} = ${id}
          and holder_id in (${sql.join(ids)})`.execute(db);
        return true;
      });
      await pause();
    }
  }
}
