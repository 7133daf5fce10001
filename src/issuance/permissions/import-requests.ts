import type { Kysely } from 'kysely';
import type { ImportMode, ImportProblem } from '#core/access/holder-row.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { ImportPreview } from '#ports/policy-install.ts';
import type { Actor, Ledger } from '../storage/ledger.ts';
import type { ImportState, PermissionsTables } from '../storage/permissions-tables.ts';

export const listFormats = ['csv', 'ndjson'] as const;

/** What somebody asks for with a list of holders. */
export interface ImportRequest {
  readonly mode: ImportMode;
  readonly format: (typeof listFormats)[number];
  /** of a delta: lines that are right are taken though others are wrong */
  readonly goodLines: boolean;
  /** when it is to be in force; absent: as soon as it is decided */
  readonly inForceFromMs?: number;
}

export interface ServerImportPreview extends ImportPreview {
  /** holders whom the list has as active and an administrator has suspended, or whose card was such a holder's: they stay suspended */
  readonly staySuspended: number;
}

export interface ImportReport {
  readonly bytesRead: number;
  readonly lines: number;
  /** holders compared so far */
  readonly compared: number;
  /** the first of them in order, and how many there are */
  readonly problems: readonly ImportProblem[];
  readonly problemCount: number;
  readonly preview?: ServerImportPreview;
  /** of the rules that the list was checked with */
  readonly rulesVersion?: number;
}

/** A list of holders on its way: read and compared first, decided by a person then. */
export interface HolderListImport {
  readonly id: string;
  readonly state: ImportState;
  readonly request: ImportRequest;
  readonly report: ImportReport;
  /** its changes, to be looked at one by one */
  readonly changeSetId: string;
  readonly madeBy: string;
  readonly madeAtMs: number;
}

export type DecideOutcome =
  | { readonly kind: 'decided' }
  | { readonly kind: 'not-there' }
  /** it is not ready, or was decided before, or other rules are in force than it was checked with */
  | { readonly kind: 'changed-meanwhile' }
  /** so many lose access that the number must be confirmed */
  | { readonly kind: 'confirmation-missing'; readonly losingAccess: number };

export const emptyReport: ImportReport = {
  bytesRead: 0,
  lines: 0,
  compared: 0,
  problems: [],
  problemCount: 0,
};

/** The lists of holders that were sent to one organization. */
export class ImportRequests {
  readonly #ledger: Ledger<PermissionsTables>;
  readonly #entropy: Entropy;

  constructor(parts: { readonly ledger: Ledger<PermissionsTables>; readonly entropy: Entropy }) {
    this.#ledger = parts.ledger;
    this.#entropy = parts.entropy;
  }

  newId(): string {
    return Buffer.from(this.#entropy.bytes(8)).toString('hex');
  }

  /** Takes a list whose file is complete; its changes become a draft of the same id. */
  async receive(id: string, request: ImportRequest, actor: Actor): Promise<HolderListImport> {
    return this.#ledger.change(actor, async ({ db, atMs, changeNumber, audit }) => {
      const { mode, goodLines, inForceFromMs } = request;
      await db
        .insertInto('change_sets')
        .values({
          change_set_id: id,
          title: `${mode} list`,
          // no draft that anybody edits: the list is what it is
          state: 'importing',
          in_force_from_ms: inForceFromMs ?? null,
          applied_through: '',
          made_by: actor.id,
          made_at_ms: atMs,
          revision: changeNumber,
        })
        .execute();
      const row: PermissionsTables['imports'] = {
        import_id: id,
        state: 'received',
        request: JSON.stringify(request),
        report: JSON.stringify(emptyReport),
        change_set_id: id,
        made_by: actor.id,
        made_at_ms: atMs,
      };
      await db.insertInto('imports').values(row).execute();
      await audit({ action: 'list-received', body: { list: id, mode, goodLines } });
      return importOf(row);
    });
  }

  async list(): Promise<readonly HolderListImport[]> {
    const { db } = this.#ledger;
    const rows = await db
      .selectFrom('imports')
      .selectAll()
      .orderBy('made_at_ms', 'desc')
      .limit(100)
      .execute();
    return rows.map(importOf);
  }

  async find(id: string): Promise<HolderListImport | undefined> {
    return findImport(this.#ledger.db, id);
  }

  /** Lets a list that is ready come into force; `losingAccess` as its preview says, where that must be confirmed. */
  async decide(id: string, losingAccess: number | undefined, actor: Actor): Promise<DecideOutcome> {
    return this.#ledger.change(actor, async (change): Promise<DecideOutcome> => {
      const { db, atMs, changeNumber, audit, abandon } = change;
      const found = await findImport(db, id);
      const preview = found?.report.preview;
      if (!found) return abandon({ kind: 'not-there' });
      const rules = await db
        .selectFrom('rules')
        .select('version')
        .where('state', '=', 'in-force')
        .executeTakeFirst();
      const fromMs = found.request.inForceFromMs ?? atMs;
      const sameRules = fromMs > atMs || rules?.version === found.report.rulesVersion;
      if (found.state !== 'ready' || !preview || !sameRules) return abandon({ kind: 'changed-meanwhile' });
      if (preview.needsConfirmation && preview.losingAccess !== losingAccess) {
        return abandon({ kind: 'confirmation-missing', losingAccess: preview.losingAccess });
      }
      await db.updateTable('imports').set({ state: 'decided' }).where('import_id', '=', id).execute();
      await db
        .updateTable('change_sets')
        .set({ state: 'scheduled', in_force_from_ms: fromMs, revision: changeNumber })
        .where('change_set_id', '=', id)
        .execute();
      const { added, changed, removed } = preview;
      await audit({
        action: 'list-decided',
        body: {
          list: id,
          inForceFromMs: fromMs,
          added,
          changed,
          removed,
          losingAccess: preview.losingAccess,
        },
      });
      return { kind: 'decided' };
    });
  }

  /** Gives up a list that was not decided; whoever works on it stops. */
  async cancel(id: string, actor: Actor): Promise<boolean> {
    return this.#ledger.change(actor, async ({ db, audit, abandon }) => {
      const cancelled = await db
        .updateTable('imports')
        .set({ state: 'cancelled' })
        .where('import_id', '=', id)
        .where('state', 'in', ['received', 'working', 'refused', 'ready'])
        .executeTakeFirst();
      if (cancelled.numUpdatedRows !== 1n) return abandon(false);
      await db
        .updateTable('change_sets')
        .set({ state: 'cancelled' })
        .where('change_set_id', '=', id)
        .execute();
      await audit({ action: 'list-cancelled', body: { list: id } });
      return true;
    });
  }
}

export async function findImport(
  db: Kysely<PermissionsTables>,
  id: string,
): Promise<HolderListImport | undefined> {
  const row = await db.selectFrom('imports').selectAll().where('import_id', '=', id).executeTakeFirst();
  return row && importOf(row);
}

export function importOf(row: PermissionsTables['imports']): HolderListImport {
  return {
    id: row.import_id,
    state: row.state,
    request: JSON.parse(row.request) as ImportRequest,
    report: JSON.parse(row.report) as ImportReport,
    changeSetId: row.change_set_id,
    madeBy: row.made_by,
    madeAtMs: row.made_at_ms,
  };
}
