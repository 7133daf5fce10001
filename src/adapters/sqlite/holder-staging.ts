import type { Statement } from 'better-sqlite3';
import type { HolderRow, ImportMode, ImportProblem } from '#core/access/holder-row.ts';
import type { Sqlite } from './database.ts';
import { type CardRow, groupList, type HolderRecordRow } from './policy-format.ts';

/** Temporary tables hold the list while it is read, so that memory stays small and nothing is applied before its end. */
const tables = `
  DROP TABLE IF EXISTS temp.staged_holders;
  DROP TABLE IF EXISTS temp.staged_cards;
  CREATE TEMP TABLE staged_holders (
    holder_id TEXT PRIMARY KEY, status TEXT NOT NULL, valid_from_ms INTEGER, valid_until_ms INTEGER,
    group_list TEXT NOT NULL, line INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TEMP TABLE staged_cards (
    profile_id TEXT NOT NULL, user_number TEXT NOT NULL, diversifier TEXT NOT NULL, holder_id TEXT NOT NULL,
    status TEXT NOT NULL, key_version INTEGER, line INTEGER NOT NULL,
    PRIMARY KEY (profile_id, user_number, diversifier)
  ) STRICT, WITHOUT ROWID;
`;

type Staged<T> = T & { readonly line: number };

/** Takes rows of one list and finds those that contradict one another. Members a delta leaves out come from the policy. */
export class HolderStaging {
  readonly #mode: ImportMode;
  readonly #addHolder: Statement<[string, string, number | null, number | null, string, number]>;
  readonly #addCard: Statement<[string, string, string, string, string, number | null, number]>;
  readonly #stagedHolder: Statement<[string], Staged<HolderRecordRow>>;
  readonly #stagedCard: Statement<[string, string, string], Staged<CardRow>>;
  readonly #holder: Statement<[string], HolderRecordRow>;
  readonly #card: Statement<[string, string, string], CardRow>;

  constructor(db: Sqlite, mode: ImportMode) {
    db.exec(tables);
    this.#mode = mode;
    this.#addHolder = db.prepare('INSERT OR IGNORE INTO staged_holders VALUES (?, ?, ?, ?, ?, ?)');
    this.#addCard = db.prepare('INSERT OR IGNORE INTO staged_cards VALUES (?, ?, ?, ?, ?, ?, ?)');
    this.#stagedHolder = db.prepare('SELECT * FROM staged_holders WHERE holder_id = ?');
    const cardKey = 'profile_id = ? AND user_number = ? AND diversifier = ?';
    this.#stagedCard = db.prepare(`SELECT * FROM staged_cards WHERE ${cardKey}`);
    this.#holder = db.prepare('SELECT * FROM holders WHERE holder_id = ?');
    this.#card = db.prepare(`SELECT * FROM cards WHERE ${cardKey}`);
  }

  /** Stages a row; the problems are its contradictions to earlier lines. */
  add(row: HolderRow): readonly ImportProblem[] {
    const problems: ImportProblem[] = [];
    const card = this.#completeCard(row);
    const { profile_id, user_number, diversifier, holder_id, status, key_version } = card;
    const added = this.#addCard.run(
      profile_id,
      user_number,
      diversifier,
      holder_id,
      status,
      key_version,
      row.line,
    );
    if (added.changes === 0) {
      const first = this.#stagedCard.get(profile_id, user_number, diversifier)?.line ?? 0;
      problems.push({ line: row.line, text: `the same card as in line ${first}; remove one of the two` });
    }
    const holder = this.#completeHolder(row);
    const { valid_from_ms, valid_until_ms, group_list } = holder;
    const fresh = this.#addHolder.run(
      holder_id,
      holder.status,
      valid_from_ms,
      valid_until_ms,
      group_list,
      row.line,
    );
    const first = fresh.changes === 0 ? this.#stagedHolder.get(holder_id) : undefined;
    const differing = first ? differences(first, holder) : [];
    if (first && differing.length > 0) {
      const text = `the same holder as in line ${first.line}, but with another ${differing.join(', ')}; both lines must say the same`;
      problems.push({ line: row.line, text });
    }
    return problems;
  }

  #completeCard(row: HolderRow): CardRow {
    const { profileId, userNumber, holderId, diversifier = '' } = row;
    const before = this.#mode === 'delta' ? this.#card.get(profileId, userNumber, diversifier) : undefined;
    return {
      profile_id: profileId,
      user_number: userNumber,
      diversifier,
      holder_id: holderId,
      status: row.cardStatus ?? before?.status ?? 'active',
      key_version: row.keyVersion === undefined ? (before?.key_version ?? null) : row.keyVersion,
    };
  }

  #completeHolder(row: HolderRow): HolderRecordRow {
    const before = this.#mode === 'delta' ? this.#holder.get(row.holderId) : undefined;
    return {
      holder_id: row.holderId,
      status: row.status ?? before?.status ?? 'active',
      valid_from_ms: row.validFromMs === undefined ? (before?.valid_from_ms ?? null) : row.validFromMs,
      valid_until_ms: row.validUntilMs === undefined ? (before?.valid_until_ms ?? null) : row.validUntilMs,
      group_list: row.groups ? groupList(row.groups) : (before?.group_list ?? ''),
    };
  }
}

function differences(a: HolderRecordRow, b: HolderRecordRow): readonly string[] {
  const names: string[] = [];
  if (a.status !== b.status) names.push('status');
  if (a.valid_from_ms !== b.valid_from_ms) names.push('valid_from');
  if (a.valid_until_ms !== b.valid_until_ms) names.push('valid_until');
  if (a.group_list !== b.group_list) names.push('groups');
  return names;
}
