import type { Statement } from 'better-sqlite3';
import type { Holder, HolderCard, RecordStatus } from '#core/access/policy.ts';
import type { Sqlite } from './database.ts';
import { type CardRow, groupsOf, type HolderRecordRow } from './policy-format.ts';

/** Where look-ups find holders and cards: rows of a list imported here, or buckets that a server has signed. */
export interface HolderRecords {
  /** all cards with the user number, and their one holder */
  find(profileId: string, userNumber: string): FoundCards;
  /** user numbers of the cards with the diversifier, two at most */
  claimed(profileId: string, diversifier: string): readonly string[];
  holder(holderId: string): Holder | undefined;
  cardsOf(holderId: string): readonly HolderCard[];
}

export interface FoundCards {
  readonly cards: readonly HolderCard[];
  readonly holder?: Holder;
}

/** Records that were imported on this device. */
export class RowRecords implements HolderRecords {
  readonly #cards: Statement<[string, string], CardRow>;
  readonly #claimed: Statement<[string, string], string>;
  readonly #holder: Statement<[string], HolderRecordRow>;
  readonly #cardsOf: Statement<[string], CardRow>;

  constructor(db: Sqlite) {
    this.#cards = db.prepare('SELECT * FROM cards WHERE profile_id = ? AND user_number = ?');
    this.#claimed = db
      .prepare<[string, string], string>(
        "SELECT DISTINCT user_number FROM cards WHERE profile_id = ? AND diversifier = ? AND diversifier <> '' LIMIT 2",
      )
      .pluck();
    this.#holder = db.prepare('SELECT * FROM holders WHERE holder_id = ?');
    this.#cardsOf = db.prepare(
      'SELECT * FROM cards WHERE holder_id = ? ORDER BY profile_id, user_number, diversifier',
    );
  }

  find(profileId: string, userNumber: string): FoundCards {
    const rows = this.#cards.all(profileId, userNumber);
    // all cards of one user number are one holder's: the import sees to it
    const holder = rows[0] && this.holder(rows[0].holder_id);
    return { cards: rows.map(cardOf), ...(holder && { holder }) };
  }

  claimed(profileId: string, diversifier: string): readonly string[] {
    return this.#claimed.all(profileId, diversifier);
  }

  holder(holderId: string): Holder | undefined {
    const row = this.#holder.get(holderId);
    return row && holderOf(row);
  }

  cardsOf(holderId: string): readonly HolderCard[] {
    return this.#cardsOf.all(holderId).map(cardOf);
  }
}

function cardOf(row: CardRow): HolderCard {
  return {
    profileId: row.profile_id,
    userNumber: row.user_number,
    status: row.status as RecordStatus,
    ...(row.key_version === null ? {} : { keyVersion: row.key_version }),
    ...(row.diversifier === '' ? {} : { diversifier: row.diversifier }),
  };
}

function holderOf(row: HolderRecordRow): Holder {
  return {
    holderId: row.holder_id,
    status: row.status as RecordStatus,
    groups: groupsOf(row.group_list),
    ...(row.valid_from_ms === null ? {} : { validFromMs: row.valid_from_ms }),
    ...(row.valid_until_ms === null ? {} : { validUntilMs: row.valid_until_ms }),
  };
}
