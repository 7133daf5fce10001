import type { Kysely } from 'kysely';
import { refuseIndividualNumber } from '#core/card/user-number.ts';
import type { JsonValue } from '#core/journal/record.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { Principal } from '../administrators/principals.ts';
import type { Actor, Ledger } from '../storage/ledger.ts';
import type { ChangeSetState, PermissionsTables } from '../storage/permissions-tables.ts';
import { holderProblems, type StateProblem } from './holder-check.ts';
import { readHolder } from './holder-rows.ts';
import {
  applyChange,
  type Conflict,
  changeBetween,
  type HolderChange,
  type HolderState,
  inOrder,
} from './holder-state.ts';
import { reaches } from './holders.ts';
import { rulesAt } from './rules-versions.ts';

type Db = Kysely<PermissionsTables>;

/**
 * Changes of holders that come into force together at one moment, such as a reorganization on April 1: entered as a
 * draft, compared and rehearsed, then scheduled.
 */
export interface ChangeSet {
  readonly id: string;
  readonly title: string;
  readonly state: ChangeSetState;
  readonly inForceFromMs?: number;
  readonly madeBy: string;
  readonly madeAtMs: number;
  readonly revision: number;
}

export interface PlannedChange {
  readonly holderId: string;
  readonly change: HolderChange;
  readonly applied: boolean;
  /** what of it was not applied, since somebody had changed the same thing */
  readonly conflicts: readonly Conflict[];
}

/** What a draft is to make of a holder. */
export interface PlannedHolder {
  readonly holderId: string;
  /** undefined: it is to be removed */
  readonly state: HolderState | undefined;
  /** change number of the holder that was read; undefined: there is none now */
  readonly expected: number | undefined;
}

export type PlanOutcome =
  | { readonly kind: 'done'; readonly changeSet: ChangeSet }
  | { readonly kind: 'not-there' }
  /** it or the holder was changed since it was read, or it is no draft any more */
  | { readonly kind: 'changed-meanwhile' }
  | { readonly kind: 'invalid'; readonly problems: readonly StateProblem[] }
  | { readonly kind: 'out-of-reach' };

/** The change sets of one organization. */
export class ChangeSets {
  readonly #ledger: Ledger<PermissionsTables>;
  readonly #entropy: Entropy;

  constructor(parts: { readonly ledger: Ledger<PermissionsTables>; readonly entropy: Entropy }) {
    this.#ledger = parts.ledger;
    this.#entropy = parts.entropy;
  }

  async list(): Promise<readonly ChangeSet[]> {
    const { db } = this.#ledger;
    const rows = await db
      .selectFrom('change_sets')
      .selectAll()
      .orderBy('made_at_ms', 'desc')
      .limit(200)
      .execute();
    return rows.map(changeSetOf);
  }

  async find(id: string): Promise<ChangeSet | undefined> {
    const row = await findRow(this.#ledger.db, id);
    return row && changeSetOf(row);
  }

  async make(title: string, inForceFromMs: number | undefined, actor: Actor): Promise<ChangeSet> {
    refuseIndividualNumber(title, 'the title');
    const id = Buffer.from(this.#entropy.bytes(8)).toString('hex');
    return this.#ledger.change(actor, async ({ db, atMs, changeNumber, audit }) => {
      const row: PermissionsTables['change_sets'] = {
        change_set_id: id,
        title,
        state: 'draft',
        in_force_from_ms: inForceFromMs ?? null,
        applied_through: '',
        made_by: actor.id,
        made_at_ms: atMs,
        revision: changeNumber,
      };
      await db.insertInto('change_sets').values(row).execute();
      await audit({ action: 'change-set-made', body: { changeSet: id, title } });
      return changeSetOf(row);
    });
  }

  /**
   * Puts into a draft what a holder is to be from its moment on. What the set keeps is the difference to what would be
   * in force then without it; what it planned of the holder before is replaced.
   */
  async plan(id: string, { holderId, state, expected }: PlannedHolder, by: Principal): Promise<PlanOutcome> {
    const wanted = state && inOrder(state);
    return this.#ledger.change(by.actor, async (change): Promise<PlanOutcome> => {
      const { db, atMs, changeNumber, abandon } = change;
      const row = await findRow(db, id);
      if (!row) return abandon({ kind: 'not-there' });
      // a set of somebody else may plan what is out of reach
      if (by.groups && row.made_by !== by.actor.id) return abandon({ kind: 'out-of-reach' });
      const now = await readHolder(db, holderId);
      if (row.state !== 'draft' || now?.changeNumber !== expected) {
        return abandon({ kind: 'changed-meanwhile' });
      }
      const moment = Math.max(atMs, row.in_force_from_ms ?? atMs);
      const before = await stateAt(db, holderId, moment);
      if (!reaches(by, before, wanted)) return abandon({ kind: 'out-of-reach' });
      const rules = (await rulesAt(db, moment))?.rules;
      const problems = wanted ? holderProblems(holderId, wanted, rules) : [];
      if (problems.length > 0) return abandon({ kind: 'invalid', problems });
      await db
        .deleteFrom('planned_changes')
        .where('change_set_id', '=', id)
        .where('holder_id', '=', holderId)
        .execute();
      const difference = changeBetween(before, wanted);
      if (difference) {
        await db
          .insertInto('planned_changes')
          .values({
            change_set_id: id,
            holder_id: holderId,
            change: JSON.stringify(difference),
            applied: 0,
            conflict: null,
          })
          .execute();
      }
      await db
        .updateTable('change_sets')
        .set({ revision: changeNumber })
        .where('change_set_id', '=', id)
        .execute();
      await change.audit({
        action: 'change-planned',
        body: { changeSet: id, kind: difference?.kind ?? 'none' },
        personal: { holder: holderId },
      });
      return { kind: 'done', changeSet: changeSetOf({ ...row, revision: changeNumber }) };
    });
  }

  /** Decides that a draft comes into force at its moment; one whose moment has passed does so at once. */
  async schedule(id: string, revision: number, inForceFromMs: number, by: Principal): Promise<PlanOutcome> {
    return this.#decide(id, revision, by, { from: ['draft'], to: 'scheduled', inForceFromMs });
  }

  /** Gives up a set that is not in force yet. */
  async cancel(id: string, revision: number, by: Principal): Promise<PlanOutcome> {
    return this.#decide(id, revision, by, { from: ['draft', 'scheduled'], to: 'cancelled' });
  }

  /** At most `limit` changes of a set, of holders after `after`: what it changes, and what of it could not be applied. */
  async changes(id: string, after: string, limit: number): Promise<readonly PlannedChange[]> {
    const rows = await this.#ledger.db
      .selectFrom('planned_changes')
      .selectAll()
      .where('change_set_id', '=', id)
      .where('holder_id', '>', after)
      .orderBy('holder_id')
      .limit(limit)
      .execute();
    return rows.map(plannedOf);
  }

  /** What would be in force of a holder at `atMs`, with all that is scheduled until then and the draft `alsoDraft`. */
  async rehearse(holderId: string, atMs: number, alsoDraft?: string): Promise<HolderState | undefined> {
    return stateAt(this.#ledger.db, holderId, atMs, alsoDraft);
  }

  async #decide(
    id: string,
    revision: number,
    by: Principal,
    step: {
      readonly from: readonly ChangeSetState[];
      readonly to: 'scheduled' | 'cancelled';
      readonly inForceFromMs?: number;
    },
  ): Promise<PlanOutcome> {
    return this.#ledger.change(
      by.actor,
      async ({ db, changeNumber, audit, abandon }): Promise<PlanOutcome> => {
        const row = await findRow(db, id);
        if (!row) return abandon({ kind: 'not-there' });
        // a set of somebody else may change what is out of reach
        if (by.groups && row.made_by !== by.actor.id) return abandon({ kind: 'out-of-reach' });
        if (row.revision !== revision || !step.from.includes(row.state)) {
          return abandon({ kind: 'changed-meanwhile' });
        }
        const next = {
          ...row,
          state: step.to,
          in_force_from_ms: step.inForceFromMs ?? row.in_force_from_ms,
          revision: changeNumber,
        };
        await db.updateTable('change_sets').set(next).where('change_set_id', '=', id).execute();
        const body: Record<string, JsonValue> = { changeSet: id };
        if (step.to === 'scheduled') body.inForceFromMs = next.in_force_from_ms;
        await audit({ action: `change-set-${step.to}`, body });
        return { kind: 'done', changeSet: changeSetOf(next) };
      },
    );
  }
}

/** The state of a holder at `atMs`, now or later: what is in force now and every scheduled change until then. */
export async function stateAt(
  db: Db,
  holderId: string,
  atMs: number,
  alsoDraft = '',
): Promise<HolderState | undefined> {
  const rows = await db
    .selectFrom('planned_changes as p')
    .innerJoin('change_sets as s', 's.change_set_id', 'p.change_set_id')
    .select(['p.change', 's.change_set_id'])
    .where('p.holder_id', '=', holderId)
    .where('p.applied', '=', 0)
    .where((where) =>
      where.or([
        where.and([
          where('s.state', 'in', ['scheduled', 'applying']),
          where('s.in_force_from_ms', '<=', atMs),
        ]),
        where.and([where('s.state', '=', 'draft'), where('s.change_set_id', '=', alsoDraft)]),
      ]),
    )
    .orderBy('s.in_force_from_ms')
    .orderBy('s.revision')
    .execute();
  let state = (await readHolder(db, holderId))?.state;
  for (const row of rows) state = applyChange(state, JSON.parse(row.change) as HolderChange).next;
  return state;
}

async function findRow(db: Db, id: string) {
  return db.selectFrom('change_sets').selectAll().where('change_set_id', '=', id).executeTakeFirst();
}

function changeSetOf(row: PermissionsTables['change_sets']): ChangeSet {
  return {
    id: row.change_set_id,
    title: row.title,
    state: row.state,
    ...(row.in_force_from_ms === null ? {} : { inForceFromMs: row.in_force_from_ms }),
    madeBy: row.made_by,
    madeAtMs: row.made_at_ms,
    revision: row.revision,
  };
}

function plannedOf(row: PermissionsTables['planned_changes']): PlannedChange {
  return {
    holderId: row.holder_id,
    change: JSON.parse(row.change) as HolderChange,
    applied: row.applied === 1,
    conflicts: row.conflict === null ? [] : (JSON.parse(row.conflict) as Conflict[]),
  };
}
