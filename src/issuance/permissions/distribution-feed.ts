import type { Kysely, SelectQueryBuilder } from 'kysely';
import type { Holder, HolderCard } from '#core/access/policy.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import { cardKeyOf, readHolders, type StoredHolder } from './holder-rows.ts';
import { type CardKey, cardKeyText } from './holder-state.ts';

/** A holder as terminals are to have it: what is suspended is suspended, whatever else is recorded. */
export interface EffectiveHolder extends Holder {
  readonly cards: readonly HolderCard[];
}

/** What has changed between two change numbers. */
export interface ChangesSince {
  /** up to which number this tells everything */
  readonly changeNumber: number;
  /** ids of holders made, changed or suspended, and of those removed; each once, as they are now */
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  /** whether other rules have come into force */
  readonly rules: boolean;
  /**
   * Whether no change set is half applied. While one is, a policy made now would have one half of a reorganization;
   * revocations are sent on all the same.
   */
  readonly settled: boolean;
}

/** Whom and what a policy must not let in any more, of what has changed between two change numbers. */
export interface RevokedSince {
  readonly changeNumber: number;
  /** holders who are not active */
  readonly holders: readonly string[];
  /** cards that are not active or their holder is not, and those that were taken off their holder and have none now */
  readonly cards: readonly CardKey[];
}

/**
 * What whoever distributes policies reads. Numbers come into force in their order: a number once seen is never
 * followed by a smaller one.
 */
export class DistributionFeed {
  readonly #db: Kysely<PermissionsTables>;

  constructor(parts: { readonly db: Kysely<PermissionsTables> }) {
    this.#db = parts.db;
  }

  /** Number of the last change of anything. */
  async changeNumber(): Promise<number> {
    const row = await this.#db.selectFrom('server_state').select('change_number').executeTakeFirstOrThrow();
    return row.change_number;
  }

  /** What has changed after `since`, told of at most about `limit` holders; ask again until nothing is new. */
  async changesSince(since: number, limit: number): Promise<ChangesSince> {
    const db = this.#db;
    const state = await db.selectFrom('server_state').selectAll().executeTakeFirstOrThrow();
    // what changes from here on has a greater number, and is told the next time
    const upTo = await this.#lastOf(since, limit, state.change_number);
    const between = (table: 'holders' | 'removed_holders') =>
      db
        .selectFrom(table)
        .select('holder_id')
        .where('change_number', '>', since)
        .where('change_number', '<=', upTo)
        .orderBy('change_number')
        .execute();
    const rules = await db
      .selectFrom('rules')
      .select('version')
      .where('change_number', '>', since)
      .where('change_number', '<=', upTo)
      .executeTakeFirst();
    return {
      changeNumber: upTo,
      changed: (await between('holders')).map((row) => row.holder_id),
      removed: (await between('removed_holders')).map((row) => row.holder_id),
      rules: rules !== undefined,
      settled: state.settled === 1,
    };
  }

  /**
   * What was revoked after `since`, of at most about `limit` holders and cards; ask again until nothing is new. Whatever
   * else changes beside costs nothing.
   */
  async revokedSince(since: number, limit: number): Promise<RevokedSince> {
    const head = await this.changeNumber();
    if (head === since) return { changeNumber: head, holders: [], cards: [] };
    const firsts = [
      await beyond(this.#suspects(since, head).select('change_number'), limit),
      await beyond(this.#removedCards(since, head).select('change_number'), limit),
    ];
    const upTo = Math.min(head, ...firsts.flat().map((row) => row.change_number));
    const suspects = await this.#suspects(since, upTo).select('holders.holder_id').execute();
    const holders = await this.holders(suspects.map((row) => row.holder_id));
    const removedCards = await this.#removedCards(since, upTo)
      .select(['profile_id', 'user_number', 'diversifier'])
      .execute();
    const inactive = holders.filter(({ status, cards }) => status !== 'active' && cards.length > 0);
    return {
      changeNumber: upTo,
      holders: inactive.map(({ holderId }) => holderId),
      cards: [
        ...holders.flatMap((holder) =>
          holder.cards
            .filter(({ status }) => status !== 'active' || holder.status !== 'active')
            .flatMap(recordsOf),
        ),
        ...removedCards.map(cardKeyOf),
      ],
    };
  }

  /** Holders who have changed and of whom, or of whose cards, something may be revoked. */
  #suspects(since: number, upTo: number) {
    return this.#db
      .selectFrom('holders')
      .where('change_number', '>', since)
      .where('change_number', '<=', upTo)
      .where(({ or, exists, selectFrom, eb }) =>
        or([
          eb('status', '<>', 'active'),
          exists(
            selectFrom('holder_suspensions as s')
              .select('s.holder_id')
              .whereRef('s.holder_id', '=', 'holders.holder_id'),
          ),
          exists(
            selectFrom('cards as c')
              .leftJoin('card_suspensions as s', (join) =>
                join.onRef('s.profile_id', '=', 'c.profile_id').onRef('s.user_number', '=', 'c.user_number'),
              )
              .select('c.holder_id')
              .whereRef('c.holder_id', '=', 'holders.holder_id')
              .where((card) =>
                card.or([card('c.status', '<>', 'active'), card('s.since_ms', 'is not', null)]),
              ),
          ),
        ]),
      );
  }

  /**
   * One that was only moved to another holder is left out, and one that a record for any card of its number covers, and
   * a record for any card of a number that one is named of now: whoever has that card would be denied as well.
   */
  #removedCards(since: number, upTo: number) {
    return this.#db
      .selectFrom('removed_cards')
      .where('change_number', '>', since)
      .where('change_number', '<=', upTo)
      .where(({ not, exists, selectFrom }) =>
        not(
          exists(
            selectFrom('cards as c')
              .select('c.holder_id')
              .whereRef('c.profile_id', '=', 'removed_cards.profile_id')
              .whereRef('c.user_number', '=', 'removed_cards.user_number')
              .where((card) =>
                card.or([
                  card('c.diversifier', '=', ''),
                  card('removed_cards.diversifier', '=', ''),
                  card('c.diversifier', '=', card.ref('removed_cards.diversifier')),
                ]),
              ),
          ),
        ),
      );
  }

  /** At most `limit` holders whose id comes after `after`. */
  async page(after: string, limit: number): Promise<readonly EffectiveHolder[]> {
    return (await this.recorded(after, limit)).map(effective);
  }

  /** The same as they are recorded, whatever is suspended of them. */
  async recorded(after: string, limit: number): Promise<readonly StoredHolder[]> {
    const rows = await this.#db
      .selectFrom('holders')
      .select('holder_id')
      .where('holder_id', '>', after)
      .orderBy('holder_id')
      .limit(limit)
      .execute();
    return readHolders(
      this.#db,
      rows.map((row) => row.holder_id),
    );
  }

  /** Those of `ids` who are holders now. */
  async holders(ids: readonly string[]): Promise<readonly EffectiveHolder[]> {
    return (await readHolders(this.#db, ids)).map(effective);
  }

  /** A number so that about `limit` holders have changed up to it: all changes of one number are told together. */
  async #lastOf(since: number, limit: number, head: number): Promise<number> {
    const nth = async (table: 'holders' | 'removed_holders') => {
      const row = await this.#db
        .selectFrom(table)
        .select('change_number')
        .where('change_number', '>', since)
        .where('change_number', '<=', head)
        .orderBy('change_number')
        .offset(limit)
        .limit(1)
        .executeTakeFirst();
      return row?.change_number ?? head;
    };
    return Math.min(await nth('holders'), await nth('removed_holders'));
  }
}

/** By which a policy may know a card: an earlier one may have no more than its number. */
function recordsOf({ profileId, userNumber, diversifier = '' }: HolderCard): readonly CardKey[] {
  const anyCard = { profileId, userNumber, diversifier: '' };
  return diversifier === '' ? [anyCard] : [{ ...anyCard, diversifier }, anyCard];
}

type Numbered = SelectQueryBuilder<PermissionsTables, 'holders' | 'removed_cards', { change_number: number }>;

/** The first of `rows` that is too much; all changes of its number are told together. */
function beyond<T extends 'holders' | 'removed_cards'>(
  rows: SelectQueryBuilder<PermissionsTables, T, { change_number: number }>,
  limit: number,
): Promise<readonly { change_number: number }[]> {
  return (rows as Numbered).orderBy('change_number').offset(limit).limit(1).execute();
}

export function effective({ holderId, state, suspended, suspendedCards }: StoredHolder): EffectiveHolder {
  const { status, validFromMs, validUntilMs, groups, cards } = state;
  return {
    holderId,
    status: suspended && status === 'active' ? 'suspended' : status,
    ...(validFromMs === null ? {} : { validFromMs }),
    ...(validUntilMs === null ? {} : { validUntilMs }),
    groups,
    cards: cards.map((card) => ({
      profileId: card.profileId,
      userNumber: card.userNumber,
      status:
        card.status === 'active' && suspendedCards[cardKeyText(card)] !== undefined
          ? 'suspended'
          : card.status,
      ...(card.keyVersion === null ? {} : { keyVersion: card.keyVersion }),
      ...(card.diversifier === '' ? {} : { diversifier: card.diversifier }),
    })),
  };
}
