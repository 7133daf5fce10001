import { type Kysely, sql } from 'kysely';
import type { HolderRow, ImportProblem } from '#core/access/holder-row.ts';
import type { SiteRules } from '#core/access/site-rules.ts';
import type { Clock } from '#ports/clock.ts';
import type { Ledger } from '../storage/ledger.ts';
import type { ImportState, PermissionsTables } from '../storage/permissions-tables.ts';
import { type HolderListImport, type ImportReport, type ImportRequest, importOf } from './import-requests.ts';
import { ListComparison, type Planned, rowsAtOnce } from './list-comparison.ts';
import { rulesAt } from './rules-versions.ts';

type Db = Kysely<PermissionsTables>;
type Rows = AsyncIterable<readonly (HolderRow | ImportProblem)[]>;

const problemsKept = 1_000;
const reportEveryMs = 1_000;

/** The files of lists that this process has received. */
export interface ListFiles {
  /** whether this process has the file of the list */
  has(id: string): Promise<boolean>;
  rows(
    id: string,
    request: ImportRequest,
    rules: SiteRules,
    progress: (bytesRead: number) => void,
  ): Promise<Rows>;
  remove(id: string): Promise<void>;
}

export interface ListImporterParts {
  readonly ledger: Ledger<PermissionsTables>;
  readonly files: ListFiles;
  readonly clock: Clock;
  /** lets others write; called between two short transactions */
  readonly pause: () => Promise<void>;
}

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
      const state = await run.run();
      await this.#clear('import_rows', id);
      if (state === 'refused') await this.#clear('planned_changes', id);
      await files.remove(id);
      return true;
    }
    return false;
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

/** One list from its file to what it would change. */
class ImportRun {
  readonly #db: Db;
  readonly #parts: ListImporterParts;
  readonly #list: HolderListImport;
  readonly #problems: ImportProblem[] = [];
  #problemCount = 0;
  #report: ImportReport;
  #reportedAtMs = 0;

  constructor(parts: ListImporterParts & { readonly list: HolderListImport }) {
    this.#db = parts.ledger.db;
    this.#parts = parts;
    this.#list = parts.list;
    this.#report = parts.list.report;
  }

  async run(): Promise<ImportState> {
    const { request } = this.#list;
    const atMs = Math.max(this.#parts.clock.utcMs(), request.inForceFromMs ?? 0);
    const rules = await rulesAt(this.#db, atMs);
    if (!rules) {
      this.#note([{ line: 1, text: 'there are no rules yet; make the rules first' }]);
      return this.#end('refused', {});
    }
    await this.#stage(rules.rules);
    const { id } = this.#list;
    const comparison = new ListComparison({ db: this.#db, id, mode: request.mode });
    const contradictions = await comparison.contradictions();
    this.#note(contradictions);
    await this.#leaveOut(contradictions);
    if (this.#problemCount > 0 && !request.goodLines) return this.#end('refused', {});
    await this.#plan(comparison);
    if (this.#problemCount > 0 && !request.goodLines) return this.#end('refused', {});
    return this.#end('ready', { preview: await comparison.preview(), rulesVersion: rules.version });
  }

  async #stage(rules: SiteRules): Promise<void> {
    const { files } = this.#parts;
    const { id, request } = this.#list;
    const progress = (bytesRead: number) => {
      this.#report = { ...this.#report, bytesRead };
    };
    let waiting: HolderRow[] = [];
    for await (const batch of await files.rows(id, request, rules, progress)) {
      for (const row of batch) {
        if ('text' in row) this.#note([row]);
        else waiting.push(row);
      }
      while (waiting.length >= rowsAtOnce) {
        await this.#put(waiting.slice(0, rowsAtOnce));
        waiting = waiting.slice(rowsAtOnce);
      }
    }
    if (waiting.length > 0) await this.#put(waiting);
  }

  async #put(rows: readonly HolderRow[]): Promise<void> {
    this.#report = { ...this.#report, lines: this.#report.lines + rows.length };
    await this.#write(async (db) => {
      await db
        .insertInto('import_rows')
        .values(
          rows.map((row) => ({
            import_id: this.#list.id,
            holder_id: row.holderId,
            line: row.line,
            profile_id: row.profileId,
            user_number: row.userNumber,
            diversifier: row.diversifier ?? '',
            row: JSON.stringify(row),
          })),
        )
        .execute();
    });
  }

  /** Holders whose lines contradict others: where good lines are taken, theirs are not. */
  async #leaveOut(problems: readonly ImportProblem[]): Promise<void> {
    if (!this.#list.request.goodLines) return;
    for (const { line } of problems) {
      const row = await this.#db
        .selectFrom('import_rows')
        .select('user_number')
        .where('import_id', '=', this.#list.id)
        .where('line', '=', line)
        .executeTakeFirst();
      if (!row) continue;
      await this.#write(async (db) => {
        const holders = await db
          .selectFrom('import_rows')
          .select('holder_id')
          .where('import_id', '=', this.#list.id)
          .where('user_number', '=', row.user_number)
          .execute();
        await db
          .deleteFrom('import_rows')
          .where('import_id', '=', this.#list.id)
          .where(
            'holder_id',
            'in',
            holders.map((one) => one.holder_id),
          )
          .execute();
      });
    }
  }

  async #plan(comparison: ListComparison): Promise<void> {
    for await (const { planned, problems } of comparison.changes()) {
      this.#note(problems);
      this.#report = { ...this.#report, compared: this.#report.compared + planned.length };
      for (let from = 0; from < planned.length; from += rowsAtOnce) {
        await this.#write((db) => this.#putPlanned(db, planned.slice(from, from + rowsAtOnce)));
      }
    }
  }

  async #putPlanned(db: Db, planned: readonly Planned[]): Promise<void> {
    await db
      .insertInto('planned_changes')
      .values(
        planned.map(({ holderId, change }) => ({
          change_set_id: this.#list.changeSetId,
          holder_id: holderId,
          change: JSON.stringify(change),
          applied: 0,
          conflict: null,
        })),
      )
      .execute();
  }

  #note(problems: readonly ImportProblem[]): void {
    this.#problemCount += problems.length;
    this.#problems.push(...problems.slice(0, Math.max(0, problemsKept - this.#problems.length)));
  }

  async #end(state: 'refused' | 'ready', more: Partial<ImportReport>): Promise<ImportState> {
    const { id } = this.#list;
    this.#report = { ...this.#report, ...more };
    await this.#write(async (db) => {
      await db
        .updateTable('imports')
        .set({ state, report: this.#reportText() })
        .where('import_id', '=', id)
        .execute();
      if (state === 'refused') {
        await db
          .updateTable('change_sets')
          .set({ state: 'cancelled' })
          .where('change_set_id', '=', id)
          .execute();
      }
    });
    return state;
  }

  /** One short transaction, with the report in it now and then. */
  async #write(action: (db: Db) => Promise<void>): Promise<void> {
    const nowMs = this.#parts.clock.monotonicUs() / 1_000;
    const due = nowMs - this.#reportedAtMs > reportEveryMs;
    await this.#db.transaction().execute(async (db) => {
      await action(db);
      if (due) {
        await db
          .updateTable('imports')
          .set({ report: this.#reportText() })
          .where('import_id', '=', this.#list.id)
          .execute();
      }
    });
    if (due) this.#reportedAtMs = nowMs;
    await this.#parts.pause();
  }

  #reportText(): string {
    const problems = this.#problems.toSorted((a, b) => a.line - b.line);
    return JSON.stringify({ ...this.#report, problems, problemCount: this.#problemCount });
  }
}
