import type { Kysely } from 'kysely';
import type { HolderRow, ImportProblem } from '#core/access/holder-row.ts';
import type { SiteRules } from '#core/access/site-rules.ts';
import { isFault } from '#core/fault.ts';
import type { Clock } from '#ports/clock.ts';
import type { Ledger } from '../storage/ledger.ts';
import type { ImportState, PermissionsTables } from '../storage/permissions-tables.ts';
import type { HolderListImport, ImportReport, ImportRequest } from './import-requests.ts';
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
  /** all of them; `abandoned`: nobody has written to it for so long that it is no list on its way */
  names(): Promise<readonly { readonly id: string; readonly abandoned: boolean }[]>;
  rows(id: string, request: ImportRequest, rules: SiteRules, progress: (bytesRead: number) => void): Rows;
  remove(id: string): Promise<void>;
}

export interface ListImporterParts {
  readonly ledger: Ledger<PermissionsTables>;
  readonly files: ListFiles;
  readonly clock: Clock;
  /** lets others write; called between two short transactions */
  readonly pause: () => Promise<void>;
}

/** What `pause` throws to cut a list off; it begins anew at the next start. */
export class Stopped extends Error {}

/** Somebody has given up the list that is worked on. */
class Cancelled extends Error {}

/** The file of a list cannot be read to its end. */
class Unreadable extends Error {}

/** One list from its file to what it would change. */
export class ImportRun {
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

  /**
   * Resolves to where the list stands then; `bug`: the list was refused for an error that is none of the database.
   * Rejects with a Fault of the database, or with what `pause` throws.
   */
  async run(): Promise<{ readonly state: ImportState; readonly bug?: unknown }> {
    try {
      return { state: await this.#compared() };
    } catch (error) {
      if (error instanceof Cancelled) return { state: 'cancelled' };
      if (error instanceof Stopped || isFault(error)) throw error;
      const fault = error instanceof Unreadable && isFault(error.cause) ? error.cause : undefined;
      this.#note([{ line: 1, text: fault?.message ?? 'the list cannot be read' }]);
      const state = await this.#end('refused', {});
      return fault ? { state } : { state, bug: error instanceof Unreadable ? error.cause : error };
    }
  }

  async #compared(): Promise<ImportState> {
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
    for await (const batch of readable(files.rows(id, request, rules, progress))) {
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
      await this.#set(db, { state, report: this.#reportText() });
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
      if (due) await this.#set(db, { report: this.#reportText() });
      await action(db);
    });
    if (due) this.#reportedAtMs = nowMs;
    await this.#parts.pause();
  }

  /** @throws Cancelled */
  async #set(db: Db, to: { readonly state?: ImportState; readonly report: string }): Promise<void> {
    const set = await db
      .updateTable('imports')
      .set(to)
      .where('import_id', '=', this.#list.id)
      .where('state', '=', 'working')
      .executeTakeFirst();
    if (set.numUpdatedRows !== 1n) throw new Cancelled();
  }

  #reportText(): string {
    const problems = this.#problems.toSorted((a, b) => a.line - b.line);
    return JSON.stringify({ ...this.#report, problems, problemCount: this.#problemCount });
  }
}

/** Tells what is wrong with a file from what is wrong with whoever reads it. */
async function* readable(rows: Rows): Rows {
  try {
    yield* rows;
  } catch (cause) {
    throw new Unreadable('a list that cannot be read', { cause });
  }
}
