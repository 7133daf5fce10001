import { createHash } from 'node:crypto';
import type { Change } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import { numbersOfOthers } from './holder-check.ts';
import { makeHolders, readHolders, removeHolders, type StoredHolder, writeHolder } from './holder-rows.ts';
import {
  applyChange,
  type CardState,
  type Conflict,
  type HolderChange,
  type HolderState,
  inParts,
} from './holder-state.ts';

/** Holders changed in one transaction: an urgent change waits for no more than one of these. */
const holdersAtOnce = 100;

type PermissionsChange = Change<PermissionsTables>;
type PlannedRow = PermissionsTables['planned_changes'];

/**
 * Applies the next few changes of a set: first what it gives, then what it takes away, so that a card which passes from
 * one holder to another is never a card that nobody has, and terminals are told of no revocation that was none.
 */
export async function applySome(change: PermissionsChange, id: string): Promise<void> {
  const { db } = change;
  const set = await db
    .selectFrom('change_sets')
    .selectAll()
    .where('change_set_id', '=', id)
    .executeTakeFirst();
  // somebody may have cancelled it a moment ago, or another process finished it
  if (set?.state !== 'scheduled' && set?.state !== 'applying') return change.abandon(undefined);
  const given = await db
    .selectFrom('planned_changes')
    .selectAll()
    .where('change_set_id', '=', id)
    .where('holder_id', '>', set.applied_through)
    .orderBy('holder_id')
    .limit(holdersAtOnce)
    .execute();
  await applyParts(change, given, 'gives');
  await putOff(db, given);
  const left = holdersAtOnce - given.length;
  const taken = left > 0 ? await putOffSoFar(db, id, left) : [];
  await applyParts(change, taken, 'takes');
  await forget(db, taken);
  const last = left > 0 && taken.length < left;
  await db
    .updateTable('change_sets')
    .set({
      state: last ? 'applied' : 'applying',
      applied_through: given.at(-1)?.holder_id ?? set.applied_through,
    })
    .where('change_set_id', '=', id)
    .execute();
  await markSettled(db);
  await change.audit({
    action: last ? 'change-set-applied' : 'change-set-applying',
    // the changes stay in the database; their hash binds them to this entry
    body: {
      changeSet: id,
      given: given.length,
      taken: taken.length,
      conflicts: [...given, ...taken].filter((row) => row.conflict !== null).length,
      changes: hashOf([...given, ...taken]),
    },
  });
}

/** What is put off waits until everything of the set is given; the rest of these is applied. */
async function putOff(db: PermissionsChange['db'], given: readonly PlannedRow[]): Promise<void> {
  const waiting = given.filter((row) => partsOf(row).takes);
  if (waiting.length > 0) {
    await db
      .insertInto('planned_ends')
      .values(waiting.map(({ change_set_id, holder_id }) => ({ change_set_id, holder_id })))
      .execute();
  }
  await markApplied(
    db,
    given.filter((row) => !waiting.includes(row)),
  );
}

async function putOffSoFar(
  db: PermissionsChange['db'],
  id: string,
  limit: number,
): Promise<readonly PlannedRow[]> {
  return db
    .selectFrom('planned_ends as e')
    .innerJoin('planned_changes as p', (join) =>
      join.onRef('p.change_set_id', '=', 'e.change_set_id').onRef('p.holder_id', '=', 'e.holder_id'),
    )
    .selectAll('p')
    .where('e.change_set_id', '=', id)
    .orderBy('e.holder_id')
    .limit(limit)
    .execute();
}

async function forget(db: PermissionsChange['db'], taken: readonly PlannedRow[]): Promise<void> {
  const [first] = taken;
  if (!first) return;
  await db
    .deleteFrom('planned_ends')
    .where('change_set_id', '=', first.change_set_id)
    .where(
      'holder_id',
      'in',
      taken.map((row) => row.holder_id),
    )
    .execute();
  await markApplied(db, taken);
}

/** Applies one part of each change, and keeps what of it was not possible with the change. */
async function applyParts(
  change: PermissionsChange,
  rows: readonly PlannedRow[],
  part: 'gives' | 'takes',
): Promise<void> {
  const known = await readHolders(
    change.db,
    rows.map((row) => row.holder_id),
  );
  const holders = new Map(known.map((holder) => [holder.holderId, holder]));
  const planned = new Map<PlannedRow, HolderChange>();
  for (const row of rows) {
    const of = partsOf(row)[part];
    if (of) planned.set(row, of);
  }
  const whole = await applyWhole(change, planned, holders);
  for (const [row, of] of planned) {
    if (whole.has(row.holder_id)) continue;
    const found = await applyOne(change, row, of, holders.get(row.holder_id));
    if (found.length === 0) continue;
    const before = row.conflict === null ? [] : (JSON.parse(row.conflict) as readonly Conflict[]);
    row.conflict = JSON.stringify([...new Set([...before, ...found])]);
    await change.db
      .updateTable('planned_changes')
      .set({ conflict: row.conflict })
      .where('change_set_id', '=', row.change_set_id)
      .where('holder_id', '=', row.holder_id)
      .execute();
  }
}

function partsOf(row: PlannedRow): ReturnType<typeof inParts> {
  return inParts(JSON.parse(row.change) as HolderChange);
}

/**
 * Holders made and removed without any doubt, all in a few statements, since a first list has hundreds of thousands
 * of them. Resolves to their ids.
 */
async function applyWhole(
  change: PermissionsChange,
  planned: ReadonlyMap<PlannedRow, HolderChange>,
  holders: ReadonlyMap<string, StoredHolder>,
): Promise<ReadonlySet<string>> {
  const made = new Map<string, HolderState>();
  const removed: string[] = [];
  for (const [{ holder_id: id }, of] of planned) {
    if (of.kind === 'add' && !holders.has(id)) made.set(id, of.to);
    if (of.kind === 'remove' && holders.has(id)) removed.push(id);
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

async function markApplied(db: PermissionsChange['db'], rows: readonly PlannedRow[]): Promise<void> {
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

/** Applies a change of one holder and says what of it was not possible. */
async function applyOne(
  change: PermissionsChange,
  row: PlannedRow,
  planned: HolderChange,
  holder: StoredHolder | undefined,
): Promise<readonly Conflict[]> {
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

function hashOf(rows: readonly PlannedRow[]): string {
  const hash = createHash('sha256');
  for (const { holder_id, change } of rows) hash.update(JSON.stringify([holder_id, change]));
  return hash.digest('hex').toUpperCase();
}
