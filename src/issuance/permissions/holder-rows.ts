import type { Kysely } from 'kysely';
import type { Change } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import { type CardKey, type CardState, cardKeyText, type HolderState, inOrder } from './holder-state.ts';

type Db = Kysely<PermissionsTables>;

export interface Suspension {
  readonly sinceMs: number;
  readonly by: string;
  readonly reason: string;
}

/** One that covers a card: it may be of the very card, of any card with its number, or of one card with that number. */
export interface CardSuspension extends Suspension {
  /** of the suspension's own key; empty: of any card with the user number */
  readonly diversifier: string;
}

/** A holder as it is stored, with what is suspended of it. */
export interface StoredHolder {
  readonly holderId: string;
  readonly state: HolderState;
  readonly suspended?: Suspension;
  /** by the text of the card's key */
  readonly suspendedCards: Readonly<Record<string, CardSuspension>>;
  /** number of the last change of the holder, its cards or a suspension */
  readonly changeNumber: number;
}

/** The holders with these ids, in the order of their ids in the database; one that is not there is left out. */
export async function readHolders(db: Db, ids: readonly string[]): Promise<StoredHolder[]> {
  if (ids.length === 0) return [];
  const wanted = [...ids];
  const holders = await db
    .selectFrom('holders')
    .selectAll()
    .where('holder_id', 'in', wanted)
    .orderBy('holder_id')
    .execute();
  const cards = await db.selectFrom('cards').selectAll().where('holder_id', 'in', wanted).execute();
  const suspensions = await db
    .selectFrom('holder_suspensions')
    .selectAll()
    .where('holder_id', 'in', wanted)
    .execute();
  const cardSuspensions = await db
    .selectFrom('card_suspensions as s')
    .innerJoin('cards as c', (join) =>
      join.onRef('c.profile_id', '=', 's.profile_id').onRef('c.user_number', '=', 's.user_number'),
    )
    .selectAll('s')
    .distinct()
    .where('c.holder_id', 'in', wanted)
    .execute();
  const suspended = new Map(suspensions.map((row) => [row.holder_id, suspensionOf(row)]));
  const suspendedNumbers = Map.groupBy(cardSuspensions, ({ profile_id, user_number }) =>
    [profile_id, user_number].join('\n'),
  );
  const cardsOf = Map.groupBy(cards, (card) => card.holder_id);
  return holders.map((row) => {
    const own = (cardsOf.get(row.holder_id) ?? []).map(cardOf);
    const suspension = suspended.get(row.holder_id);
    return {
      holderId: row.holder_id,
      state: inOrder({
        status: row.status,
        validFromMs: row.valid_from_ms,
        validUntilMs: row.valid_until_ms,
        groups: groupsOf(row.group_list),
        cards: own,
      }),
      ...(suspension && { suspended: suspension }),
      suspendedCards: Object.fromEntries(
        own.flatMap((card) => {
          const ofNumber = suspendedNumbers.get([card.profileId, card.userNumber].join('\n')) ?? [];
          const one = covering(ofNumber, card);
          return one ? [[cardKeyText(card), one] as const] : [];
        }),
      ),
      changeNumber: row.change_number,
    };
  });
}

/**
 * The suspension that covers a card: of several the one of the very card. A record without a diversifier stands for any
 * card with the number, so that it is covered by the suspension of one of them, and the other way round.
 */
function covering(
  suspensions: readonly PermissionsTables['card_suspensions'][],
  { diversifier }: CardKey,
): CardSuspension | undefined {
  const row =
    suspensions.find((one) => one.diversifier === diversifier) ??
    suspensions.find((one) => one.diversifier === '' || diversifier === '');
  return row && { ...suspensionOf(row), diversifier: row.diversifier };
}

export async function readHolder(db: Db, holderId: string): Promise<StoredHolder | undefined> {
  return (await readHolders(db, [holderId]))[0];
}

/** Writes what differs between two states of a holder, inside a change; a card may come from another holder. */
export async function writeHolder(
  change: Change<PermissionsTables>,
  holderId: string,
  before: HolderState | undefined,
  after: HolderState | undefined,
): Promise<void> {
  const { db, changeNumber } = change;
  const kept = new Map((after?.cards ?? []).map((card) => [cardKeyText(card), card]));
  const known = new Map((before?.cards ?? []).map((card) => [cardKeyText(card), card]));
  for (const [key, card] of known) {
    if (!kept.has(key)) await removeCard(change, holderId, card);
  }
  for (const [key, card] of kept) {
    const old = known.get(key);
    if (!old || old.status !== card.status || old.keyVersion !== card.keyVersion) {
      if (!old) await takeFromOther(db, card, { holderId, changeNumber });
      await writeCard(db, holderId, card);
    }
  }
  if (!after) {
    await removeHolders(change, [holderId]);
    return;
  }
  const { holder_id, ...row } = holderRow(holderId, after, changeNumber);
  await db
    .insertInto('holders')
    .values({ holder_id, ...row })
    .onConflict((at) => at.column('holder_id').doUpdateSet(row))
    .execute();
  if (!before) await db.deleteFrom('removed_holders').where('holder_id', '=', holderId).execute();
}

/** Makes holders who are not there yet, with cards that nobody has, inside a change. */
export async function makeHolders(
  { db, changeNumber }: Change<PermissionsTables>,
  holders: ReadonlyMap<string, HolderState>,
): Promise<void> {
  await db
    .insertInto('holders')
    .values([...holders].map(([id, state]) => holderRow(id, state, changeNumber)))
    .execute();
  const cards = [...holders].flatMap(([id, state]) => state.cards.map((card) => cardRow(id, card)));
  if (cards.length > 0) await db.insertInto('cards').values(cards).execute();
  await db
    .deleteFrom('removed_holders')
    .where('holder_id', 'in', [...holders.keys()])
    .execute();
}

/** Removes holders with their cards, inside a change. */
export async function removeHolders(
  { db, changeNumber }: Change<PermissionsTables>,
  ids: readonly string[],
): Promise<void> {
  await keepSuspended(db, ids);
  await db
    .insertInto('removed_cards')
    .columns(['profile_id', 'user_number', 'diversifier', 'change_number'])
    .expression((eb) =>
      eb
        .selectFrom('cards')
        .select(['profile_id', 'user_number', 'diversifier', eb.val(changeNumber).as('change_number')])
        .where('holder_id', 'in', [...ids]),
    )
    .onConflict((at) =>
      at.columns(['profile_id', 'user_number', 'diversifier']).doUpdateSet({ change_number: changeNumber }),
    )
    .execute();
  for (const table of ['cards', 'holders'] as const) {
    await db
      .deleteFrom(table)
      .where('holder_id', 'in', [...ids])
      .execute();
  }
  await db
    .insertInto('removed_holders')
    .values(ids.map((id) => ({ holder_id: id, change_number: changeNumber })))
    .onConflict((at) => at.column('holder_id').doUpdateSet({ change_number: changeNumber }))
    .execute();
}

/** A card that another holder has until now: that holder has changed too. */
async function takeFromOther(
  db: Db,
  card: CardKey,
  { holderId, changeNumber }: { readonly holderId: string; readonly changeNumber: number },
): Promise<void> {
  const owner = await db
    .selectFrom('cards')
    .select('holder_id')
    .where('profile_id', '=', card.profileId)
    .where('user_number', '=', card.userNumber)
    .where('diversifier', '=', card.diversifier)
    .where('holder_id', '<>', holderId)
    .executeTakeFirst();
  if (!owner) return;
  await keepSuspended(db, [owner.holder_id], card);
  await db
    .updateTable('holders')
    .set({ change_number: changeNumber })
    .where('holder_id', '=', owner.holder_id)
    .execute();
}

async function writeCard(db: Db, holderId: string, card: CardState): Promise<void> {
  const { holder_id, status, key_version, ...key } = cardRow(holderId, card);
  const row = { holder_id, status, key_version };
  await db
    .insertInto('cards')
    .values({ ...key, ...row })
    .onConflict((at) => at.columns(['profile_id', 'user_number', 'diversifier']).doUpdateSet(row))
    .execute();
}

/**
 * Cards that leave a suspended holder, all or one, stay suspended: whoever has them next opens nothing with them
 * before an administrator lifts it.
 */
async function keepSuspended(db: Db, holderIds: readonly string[], card?: CardKey): Promise<void> {
  let leaving = db
    .selectFrom('cards as c')
    .innerJoin('holder_suspensions as s', 's.holder_id', 'c.holder_id')
    .select([
      'c.profile_id',
      'c.user_number',
      'c.diversifier',
      's.since_ms',
      's.suspended_by',
      's.reason',
      'c.holder_id as with_holder',
    ])
    .where('c.holder_id', 'in', [...holderIds]);
  if (card) {
    leaving = leaving
      .where('c.profile_id', '=', card.profileId)
      .where('c.user_number', '=', card.userNumber)
      .where('c.diversifier', '=', card.diversifier);
  }
  await db
    .insertInto('card_suspensions')
    .columns([
      'profile_id',
      'user_number',
      'diversifier',
      'since_ms',
      'suspended_by',
      'reason',
      'with_holder',
    ])
    .expression(leaving)
    .onConflict((at) => at.doNothing())
    .execute();
}

async function removeCard(
  { db, changeNumber }: Change<PermissionsTables>,
  holderId: string,
  card: CardKey,
): Promise<void> {
  await keepSuspended(db, [holderId], card);
  const { profileId, userNumber, diversifier } = card;
  const removed = await db
    .deleteFrom('cards')
    .where('profile_id', '=', profileId)
    .where('user_number', '=', userNumber)
    .where('diversifier', '=', diversifier)
    .where('holder_id', '=', holderId)
    .executeTakeFirst();
  if (removed.numDeletedRows === 0n) return;
  await db
    .insertInto('removed_cards')
    .values({
      profile_id: profileId,
      user_number: userNumber,
      diversifier,
      change_number: changeNumber,
    })
    .onConflict((at) =>
      at.columns(['profile_id', 'user_number', 'diversifier']).doUpdateSet({ change_number: changeNumber }),
    )
    .execute();
}

function groupList(groups: readonly string[]): string {
  return groups.length === 0 ? '' : `;${groups.join(';')};`;
}

function holderRow(
  holderId: string,
  { status, validFromMs, validUntilMs, groups }: HolderState,
  changeNumber: number,
): PermissionsTables['holders'] {
  return {
    holder_id: holderId,
    status,
    valid_from_ms: validFromMs,
    valid_until_ms: validUntilMs,
    group_list: groupList(groups),
    change_number: changeNumber,
  };
}

function cardRow(holderId: string, card: CardState): PermissionsTables['cards'] {
  const { profileId, userNumber, diversifier, status, keyVersion } = card;
  return {
    profile_id: profileId,
    user_number: userNumber,
    diversifier,
    holder_id: holderId,
    status,
    key_version: keyVersion,
  };
}

function groupsOf(list: string): string[] {
  return list === '' ? [] : list.slice(1, -1).split(';');
}

function cardOf(row: PermissionsTables['cards']): CardState {
  return { ...cardKeyOf(row), status: row.status, keyVersion: row.key_version };
}

export function cardKeyOf(
  row: Pick<PermissionsTables['cards'], 'profile_id' | 'user_number' | 'diversifier'>,
): CardKey {
  return { profileId: row.profile_id, userNumber: row.user_number, diversifier: row.diversifier };
}

function suspensionOf(row: { since_ms: number; suspended_by: string; reason: string }): Suspension {
  return { sinceMs: row.since_ms, by: row.suspended_by, reason: row.reason };
}
