import { createHash } from 'node:crypto';
import type { Actor, Change, Ledger } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import { numbersOfOthers } from './holder-check.ts';
import { makeHolders, readHolders, removeHolders, type StoredHolder, writeHolder } from './holder-rows.ts';
import {
  applyChange,
  type CardState,
  type Conflict,
  type HolderChange,
  type HolderState,
} from './holder-state.ts';
import { putInForce } from './rules-versions.ts';

/** Holders changed in one transaction: an urgent change waits for no more than one of these. */
const holdersAtOnce = 100;

const server: Actor = { id: 'server', via: 'server' };
type PermissionsChange = Change<PermissionsTables>;

/** What is due comes into force: rules and change sets whose moment has come, in their order, a few holders at a time. */
export class DueChanges {
  readonly #ledger: Ledger<PermissionsTables>;

  constructor(parts: { readonly ledger: Ledger<PermissionsTables> }) {
    this.#ledger = parts.ledger;
  }

  /**
   * Takes one short step, if anything is due at `nowMs`. Resolves to whether it did, so that more may be due. A step
   * that was cut off is taken again.
   */
  async step(nowMs: number): Promise<boolean> {
    const { db } = this.#ledger;
    const rules = await db
      .selectFrom('rules')
      .select(['version', 'in_force_from_ms'])
      .where('state', '=', 'planned')
      .where('in_force_from_ms', '<=', nowMs)
      .orderBy('in_force_from_ms')
      .orderBy('version')
      .executeTakeFirst();
    const set = await db
      .selectFrom('change_sets')
      .selectAll()
      .where('state', 'in', ['scheduled', 'applying'])
      .where('in_force_from_ms', '<=', nowMs)
      .orderBy('in_force_from_ms')
      .orderBy('revision')
      .executeTakeFirst();
    if (rules && (!set || rules.in_force_from_ms <= (set.in_force_from_ms ?? nowMs))) {
      await this.#ledger.change(server, async (change) => {
        const still = await change.db
          .selectFrom('rules')
          .select('version')
          .where('version', '=', rules.version)
          .where('state', '=', 'planned')
          .executeTakeFirst();
        if (!still) return change.abandon(undefined);
        await putInForce(change, rules.version);
      });
      return true;
    }
    if (!set) return false;
    await this.#ledger.change(server, (change) => applySome(change, set.change_set_id));
    return true;
  }
}

async function applySome(change: PermissionsChange, id: string): Promise<void> {
  const { db } = change;
  const set = await db
    .selectFrom('change_sets')
    .selectAll()
    .where('change_set_id', '=', id)
    .executeTakeFirst();
  // somebody may have cancelled it a moment ago, or another process finished it
  if (set?.state !== 'scheduled' && set?.state !== 'applying') return change.abandon(undefined);
  const rows = await db
    .selectFrom('planned_changes')
    .selectAll()
    .where('change_set_id', '=', id)
    .where('holder_id', '>', set.applied_through)
    .orderBy('holder_id')
    .limit(holdersAtOnce)
    .execute();
  const known = await readHolders(
    db,
    rows.map((row) => row.holder_id),
  );
  const holders = new Map(known.map((holder) => [holder.holderId, holder]));
  const whole = await applyWhole(change, rows, holders);
  let conflicts = 0;
  for (const row of rows) {
    if (whole.has(row.holder_id)) continue;
    const found = await applyOne(change, row, holders.get(row.holder_id));
    if (found.length === 0) continue;
    conflicts += 1;
    await db
      .updateTable('planned_changes')
      .set({ conflict: JSON.stringify(found) })
      .where('change_set_id', '=', id)
      .where('holder_id', '=', row.holder_id)
      .execute();
  }
  await markApplied(change, rows);
  const last = rows.length < holdersAtOnce;
  await db
    .updateTable('change_sets')
    .set({
      state: last ? 'applied' : 'applying',
      applied_through: rows.at(-1)?.holder_id ?? set.applied_through,
    })
    .where('change_set_id', '=', id)
    .execute();
  await markSettled(db);
  await change.audit({
    action: last ? 'change-set-applied' : 'change-set-applying',
    // the changes stay in the database; their hash binds them to this entry
    body: { changeSet: id, holders: rows.length, conflicts, changes: hashOf(rows) },
  });
}

/**
 * Holders made and removed without any doubt, all in a few statements, since a first list has hundreds of thousands
 * of them. Resolves to their ids.
 */
async function applyWhole(
  change: PermissionsChange,
  rows: readonly PermissionsTables['planned_changes'][],
  holders: ReadonlyMap<string, StoredHolder>,
): Promise<ReadonlySet<string>> {
  const made = new Map<string, HolderState>();
  const removed: string[] = [];
  for (const { holder_id: id, change: text } of rows) {
    const planned = JSON.parse(text) as HolderChange;
    if (planned.kind === 'add' && !holders.has(id)) made.set(id, planned.to);
    if (planned.kind === 'remove' && holders.has(id)) removed.push(id);
  }
  const cards = [...made.values()].flatMap((state) => state.cards);
  // a number that anybody has already needs a closer look
  const known = await numbersOfOthers(change.db, '', cards);
  const doubtful = new Set([...known.map(({ card }) => numberOf(card)), ...claimedTwice(made)]);
  for (const [id, state] of made) {
    if (state.cards.some((card) => doubtful.has(numberOf(card)))) made.delete(id);
  }
  if (made.size > 0) await makeHolders(change, made);
  if (removed.length > 0) await removeHolders(change, removed);
  return new Set([...made.keys(), ...removed]);
}

/** User numbers that two of the holders would have. */
function claimedTwice(holders: ReadonlyMap<string, HolderState>): readonly string[] {
  const claimed = [...holders.values()].flatMap((state) => [...new Set(state.cards.map(numberOf))]);
  return claimed.filter((number, at) => claimed.indexOf(number) !== at);
}

function numberOf({ profileId, userNumber }: CardState): string {
  return `${profileId}\n${userNumber}`;
}

async function markApplied(
  { db }: PermissionsChange,
  rows: readonly PermissionsTables['planned_changes'][],
): Promise<void> {
  const [first] = rows;
  if (!first) return;
  await db
    .updateTable('planned_changes')
    .set({ applied: 1 })
    .where('change_set_id', '=', first.change_set_id)
    .where(
      'holder_id',
      'in',
      rows.map((row) => row.holder_id),
    )
    .execute();
}

/**
 * Read together with the change number, so that nobody takes the half of a set for the whole: a set of an earlier moment
 * may have overtaken one that is half applied.
 */
async function markSettled(db: PermissionsChange['db']): Promise<void> {
  const half = await db
    .selectFrom('change_sets')
    .select('change_set_id')
    .where('state', '=', 'applying')
    .executeTakeFirst();
  await db
    .updateTable('server_state')
    .set({ settled: half ? 0 : 1 })
    .execute();
}

/** Applies the change of one holder and says what of it was not possible. */
async function applyOne(
  change: PermissionsChange,
  row: PermissionsTables['planned_changes'],
  holder: StoredHolder | undefined,
): Promise<readonly Conflict[]> {
  const planned = JSON.parse(row.change) as HolderChange;
  const before = holder?.state;
  const applied = applyChange(before, planned);
  const { next } = applied;
  const conflicts = [...applied.conflicts];
  if (holder?.suspended && planned.kind === 'edit' && planned.to.status === 'active')
    conflicts.push('suspended');
  if (!next || next === before) {
    if (before && !next) await writeHolder(change, row.holder_id, before, undefined);
    return conflicts;
  }
  const added = next.cards.filter((card) => !before?.cards.includes(card));
  const foreign = await numbersOfOthers(change.db, row.holder_id, added);
  const refused: CardState[] = [];
  for (const { card, holderId } of foreign) {
    if (!(await givesUp(change, row.change_set_id, holderId, card))) refused.push(card);
  }
  const state = { ...next, cards: next.cards.filter((card) => !refused.includes(card)) };
  await writeHolder(change, row.holder_id, before, state);
  return refused.length === 0 ? conflicts : [...conflicts, 'card'];
}

/** Whether by the same set another holder gives up the number, so that the card passes from one to the other. */
async function givesUp(
  { db }: PermissionsChange,
  id: string,
  holderId: string,
  { profileId, userNumber }: CardState,
): Promise<boolean> {
  const row = await db
    .selectFrom('planned_changes')
    .select('change')
    .where('change_set_id', '=', id)
    .where('holder_id', '=', holderId)
    .executeTakeFirst();
  if (!row) return false;
  const change = JSON.parse(row.change) as HolderChange;
  if (change.kind !== 'edit') return change.kind === 'remove';
  return change.cards.some(
    ({ key, to }) => !to && key.profileId === profileId && key.userNumber === userNumber,
  );
}

function hashOf(rows: readonly PermissionsTables['planned_changes'][]): string {
  const hash = createHash('sha256');
  for (const { holder_id, change } of rows) hash.update(JSON.stringify([holder_id, change]));
  return hash.digest('hex').toUpperCase();
}
