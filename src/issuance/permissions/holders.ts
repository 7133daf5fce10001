import { sql } from 'kysely';
import type { RecordStatus } from '#core/access/policy.ts';
import { refuseIndividualNumber } from '#core/card/user-number.ts';
import type { Principal } from '../administrators/principals.ts';
import type { Actor, Change, Ledger } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import { holderProblems, numbersOfOthers, type StateProblem } from './holder-check.ts';
import { readHolder, readHolders, type StoredHolder, writeHolder } from './holder-rows.ts';
import { type CardKey, cardKeyText, changeBetween, type HolderState, inOrder } from './holder-state.ts';
import { rulesAt } from './rules-versions.ts';

export type HolderOutcome =
  | { readonly kind: 'done'; readonly holder: StoredHolder }
  | { readonly kind: 'removed' }
  | { readonly kind: 'not-there' }
  /** it is not the one that was read (its change number is another) */
  | { readonly kind: 'changed-meanwhile' }
  | { readonly kind: 'invalid'; readonly problems: readonly StateProblem[] }
  /** the administrator may not change this of it */
  | { readonly kind: 'out-of-reach' };

export interface HolderFilter {
  readonly group?: string;
  readonly status?: RecordStatus;
  readonly userNumber?: string;
}

type PermissionsChange = Change<PermissionsTables>;

/** The holders of one organization as they are now, and changes that take effect at once. */
export class Holders {
  readonly #ledger: Ledger<PermissionsTables>;

  constructor(parts: { readonly ledger: Ledger<PermissionsTables> }) {
    this.#ledger = parts.ledger;
  }

  async find(holderId: string): Promise<StoredHolder | undefined> {
    return readHolder(this.#ledger.db, holderId);
  }

  /** At most `limit` holders whose id comes after `after`, in the order of their ids. */
  async page(after: string, limit: number, filter: HolderFilter): Promise<readonly StoredHolder[]> {
    const { db } = this.#ledger;
    let query = db.selectFrom('holders').select('holder_id').where('holder_id', '>', after);
    if (filter.status) query = query.where('status', '=', filter.status);
    if (filter.group !== undefined) {
      // LIKE would read `_` in a name as any letter, and letters of either case as the same
      query = query.where(sql<boolean>`replace(group_list, ${`;${filter.group};`}, '') <> group_list`);
    }
    const { userNumber } = filter;
    if (userNumber !== undefined) {
      query = query.where('holder_id', 'in', (sub) =>
        sub.selectFrom('cards').select('cards.holder_id').where('user_number', '=', userNumber),
      );
    }
    const rows = await query.orderBy('holder_id').limit(limit).execute();
    return readHolders(
      db,
      rows.map((row) => row.holder_id),
    );
  }

  /**
   * Makes a holder be as `state` says from now on. `expected` is the change number of the one that was read; absent:
   * there must be none yet.
   */
  async put(
    holderId: string,
    state: HolderState,
    expected: number | undefined,
    by: Principal,
  ): Promise<HolderOutcome> {
    const wanted = inOrder(state);
    return this.#ledger.change(by.actor, async (change): Promise<HolderOutcome> => {
      const { db, atMs, abandon } = change;
      const before = await readHolder(db, holderId);
      if (before?.changeNumber !== expected) return abandon({ kind: 'changed-meanwhile' });
      if (!reaches(by, before?.state, wanted)) return abandon({ kind: 'out-of-reach' });
      const problems = [...holderProblems(holderId, wanted, (await rulesAt(db, atMs))?.rules)];
      for (const { card } of await numbersOfOthers(db, holderId, wanted.cards)) {
        problems.push({
          path: `cards.${wanted.cards.indexOf(card)}.userNumber`,
          text: 'belongs to another holder already',
        });
      }
      if (problems.length > 0) return abandon({ kind: 'invalid', problems });
      const difference = changeBetween(before?.state, wanted);
      if (!difference) return abandon({ kind: 'done', holder: before });
      await writeHolder(change, holderId, before?.state, wanted);
      await change.audit({
        action: before ? 'holder-changed' : 'holder-made',
        body: auditBody(difference),
        personal: { holder: holderId },
      });
      return done(change, holderId);
    });
  }

  async remove(holderId: string, expected: number, by: Principal): Promise<HolderOutcome> {
    return this.#ledger.change(by.actor, async (change): Promise<HolderOutcome> => {
      const before = await readHolder(change.db, holderId);
      if (!before) return change.abandon({ kind: 'not-there' });
      if (before.changeNumber !== expected) return change.abandon({ kind: 'changed-meanwhile' });
      if (!reaches(by, before.state, undefined)) return change.abandon({ kind: 'out-of-reach' });
      await writeHolder(change, holderId, before.state, undefined);
      await change.audit({ action: 'holder-removed', personal: { holder: holderId } });
      return { kind: 'removed' };
    });
  }

  /** Suspends a holder at once; whatever lists and plans say, it stays so until it is lifted. */
  async suspend(holderId: string, reason: string, actor: Actor): Promise<HolderOutcome> {
    refuseIndividualNumber(reason, 'the reason');
    return this.#touch(holderId, actor, async ({ db, atMs, audit }) => {
      const row = { since_ms: atMs, suspended_by: actor.id, reason };
      await db
        .insertInto('holder_suspensions')
        .values({ holder_id: holderId, ...row })
        .onConflict((at) => at.column('holder_id').doUpdateSet(row))
        .execute();
      await audit({ action: 'holder-suspended', personal: { holder: holderId, reason } });
    });
  }

  /** To lift gives access again: who looks after some sites alone lifts nothing of a holder of others. */
  async liftSuspension(holderId: string, by: Principal): Promise<HolderOutcome> {
    return this.#touch(holderId, by.actor, async (change) => {
      await refuseOutOfReach(change, holderId, by);
      const { db, audit } = change;
      await db.deleteFrom('holder_suspensions').where('holder_id', '=', holderId).execute();
      await liftWithHolder(change, holderId);
      await audit({ action: 'holder-suspension-lifted', personal: { holder: holderId } });
    });
  }

  /** Suspends one card, such as a lost one, while its holder's others go on working. */
  async suspendCard(holderId: string, key: CardKey, reason: string, actor: Actor): Promise<HolderOutcome> {
    refuseIndividualNumber(reason, 'the reason');
    return this.#touch(holderId, actor, async ({ db, atMs, audit, abandon }) => {
      const card = await db
        .selectFrom('cards')
        .select('holder_id')
        .where((at) => at.and(columnsOf(key)))
        .executeTakeFirst();
      if (card?.holder_id !== holderId) abandon({ kind: 'not-there' });
      const row = { since_ms: atMs, suspended_by: actor.id, reason, with_holder: null };
      await db
        .insertInto('card_suspensions')
        .values({ ...columnsOf(key), ...row })
        .onConflict((at) => at.columns(['profile_id', 'user_number', 'diversifier']).doUpdateSet(row))
        .execute();
      await audit({ action: 'card-suspended', personal: { holder: holderId, card: cardText(key), reason } });
    });
  }

  /**
   * Lifts the suspension with exactly this key, also where the card is recorded by another one now, or is gone: a list
   * may have left its diversifier out.
   */
  async liftCardSuspension(holderId: string, key: CardKey, by: Principal): Promise<HolderOutcome> {
    return this.#touch(holderId, by.actor, async (change) => {
      await refuseOutOfReach(change, holderId, by);
      const { db, audit, abandon } = change;
      const { profile_id, user_number } = columnsOf(key);
      const owners = await db
        .selectFrom('cards')
        .select('holder_id')
        .where((at) => at.and({ profile_id, user_number }))
        .execute();
      if (owners.some((card) => card.holder_id !== holderId)) abandon({ kind: 'not-there' });
      const lifted = await db
        .deleteFrom('card_suspensions')
        .where((at) => at.and(columnsOf(key)))
        .executeTakeFirst();
      if (lifted.numDeletedRows !== 1n) await refuseToLift(change, holderId, key);
      await audit({ action: 'card-suspension-lifted', personal: { holder: holderId, card: cardText(key) } });
    });
  }

  /** Runs `action` and lets whoever distributes know that the holder is another one than before. */
  #touch(
    holderId: string,
    actor: Actor,
    action: (change: PermissionsChange) => Promise<void>,
  ): Promise<HolderOutcome> {
    return this.#ledger.change(actor, async (change): Promise<HolderOutcome> => {
      const touched = await change.db
        .updateTable('holders')
        .set({ change_number: change.changeNumber })
        .where('holder_id', '=', holderId)
        .executeTakeFirst();
      if (touched.numUpdatedRows !== 1n) return change.abandon({ kind: 'not-there' });
      await action(change);
      return done(change, holderId);
    });
  }
}

async function done({ db }: PermissionsChange, holderId: string): Promise<HolderOutcome> {
  const holder = await readHolder(db, holderId);
  return holder ? { kind: 'done', holder } : { kind: 'not-there' };
}

/** Lifts what was suspended of cards that left the holder; whoever has them now has changed. */
async function liftWithHolder({ db, changeNumber }: PermissionsChange, holderId: string): Promise<void> {
  await db
    .updateTable('holders')
    .set({ change_number: changeNumber })
    .where('holder_id', 'in', (sub) =>
      sub
        .selectFrom('cards as c')
        .innerJoin('card_suspensions as s', (join) =>
          join.onRef('c.profile_id', '=', 's.profile_id').onRef('c.user_number', '=', 's.user_number'),
        )
        .select('c.holder_id')
        .where('s.with_holder', '=', holderId),
    )
    .execute();
  await db.deleteFrom('card_suspensions').where('with_holder', '=', holderId).execute();
}

/** Nothing with this key is suspended: says which key is, where the card is covered by another. */
async function refuseToLift(change: PermissionsChange, holderId: string, key: CardKey): Promise<void> {
  const holder = await readHolder(change.db, holderId);
  const card = holder?.state.cards.find((one) => cardKeyText(one) === cardKeyText(key));
  if (!card) change.abandon({ kind: 'not-there' });
  const covering = holder?.suspendedCards[cardKeyText(key)];
  if (!covering) return;
  const { diversifier } = covering;
  const text =
    diversifier === ''
      ? 'all cards with the user number are suspended together; lift it without a diversifier'
      : `the card with the diversifier ${diversifier} is suspended; lift it with that`;
  change.abandon({ kind: 'invalid', problems: [{ path: 'diversifier', text }] });
}

async function refuseOutOfReach(change: PermissionsChange, holderId: string, by: Principal): Promise<void> {
  const holder = await readHolder(change.db, holderId);
  if (by.groups && holder?.state.groups.some((group) => !by.groups?.has(group))) {
    change.abandon({ kind: 'out-of-reach' });
  }
}

/**
 * Whether a facilities administrator may do this: only groups of its sites come and go, and of a holder who is in
 * groups of others nothing else changes.
 */
export function reaches(
  { groups }: Pick<Principal, 'groups'>,
  before: HolderState | undefined,
  after: HolderState | undefined,
): boolean {
  if (!groups) return true;
  const [old, next] = [before?.groups ?? [], after?.groups ?? []];
  const moved = [
    ...old.filter((group) => !next.includes(group)),
    ...next.filter((group) => !old.includes(group)),
  ];
  if (moved.some((group) => !groups.has(group))) return false;
  if (old.every((group) => groups.has(group))) return true;
  const change = changeBetween(before, after);
  return change?.kind === 'edit' && Object.keys(change.to).length === 0 && change.cards.length === 0;
}

/** What an entry says of a change: which things, and of groups which; never whose card. */
function auditBody(change: NonNullable<ReturnType<typeof changeBetween>>) {
  if (change.kind === 'remove') return {};
  if (change.kind === 'add') return { groups: change.to.groups, cards: change.to.cards.length };
  return {
    from: change.from,
    to: change.to,
    join: change.join,
    leave: change.leave,
    cards: change.cards.length,
  };
}

function columnsOf({ profileId, userNumber, diversifier }: CardKey) {
  return { profile_id: profileId, user_number: userNumber, diversifier };
}

function cardText({ profileId, userNumber, diversifier }: CardKey): string {
  return [profileId, userNumber, ...(diversifier === '' ? [] : [diversifier])].join(' ');
}
