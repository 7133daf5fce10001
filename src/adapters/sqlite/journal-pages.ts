import { toHex } from '#core/bytes/bytes.ts';
import { Fault } from '#core/fault.ts';
import { type PersonalValue, parseEntry } from '#core/journal/entry.ts';
import type { JournalHead } from '#core/journal/record.ts';
import type { JournalItem } from '#core/journal/verify.ts';
import type { JournalQuery, JournalView } from '#ports/journal-read.ts';
import type { Sqlite } from './database.ts';
import { forgottenPosition, headAt, incarnationAt } from './journal-forgetting.ts';

interface EntryRow {
  readonly position: number;
  readonly raw: Uint8Array;
  readonly hash: Uint8Array;
}

interface PersonalRow extends PersonalValue {
  readonly position: number;
}

interface CheckpointRow {
  readonly position: number;
  readonly raw: Uint8Array;
  readonly signature: Uint8Array;
}

export interface ItemPage {
  readonly items: readonly JournalItem[];
  /** position to go on after; undefined behind the last page */
  readonly next?: number | undefined;
}

const pageEntries = 1_000;

/** The last entry as its bytes tell it; undefined for an empty journal or a last entry that cannot be read. */
export function readHead(db: Sqlite): JournalHead | undefined {
  const row = db.prepare<[], EntryRow>('SELECT * FROM entries ORDER BY position DESC LIMIT 1').get();
  const entry = row && parseEntry(row.raw);
  if (!row || !entry) return undefined;
  const { terminal, incarnation, sequence } = entry;
  return { terminal, incarnation, sequence, hash: toHex(row.hash) };
}

export function readKeys(db: Sqlite): readonly JournalItem[] {
  return db
    .prepare<[], { public_key: Uint8Array }>('SELECT public_key FROM device_keys ORDER BY number')
    .all()
    .map((row) => ({ kind: 'key', publicKey: row.public_key }));
}

/** The entries behind position `after`, with personal values and checkpoints; one read transaction. */
export function readPage(db: Sqlite, after: number): ItemPage {
  return db.transaction(() => {
    const entries = db
      .prepare<[number, number], EntryRow>(
        'SELECT position, raw, hash FROM entries WHERE position > ? ORDER BY position LIMIT ?',
      )
      .all(after, pageEntries);
    const first = entries[0]?.position;
    if (after > 0 && first !== undefined && first > after + 1) {
      throw new Fault('database-in-use', 'entries were let go of while they were read; try again');
    }
    const last = entries.length < pageEntries ? undefined : entries.at(-1)?.position;
    const until = last ?? Number.MAX_SAFE_INTEGER;
    const personal = personalBetween(db, after, until);
    const checkpoints = db
      .prepare<[number, number], CheckpointRow>(
        'SELECT position, raw, signature FROM checkpoints WHERE position > ? AND position <= ? ORDER BY position',
      )
      .all(after, until);
    const items = inOrder(entries, personal, checkpoints);
    return { items: after === 0 ? [...forgottenItems(db), ...items] : items, next: last };
  })();
}

/** Behind which entry the first incarnation that is there begins, where that is not its first. */
function forgottenItems(db: Sqlite): readonly JournalItem[] {
  const forgotten = forgottenPosition(db);
  const incarnation = incarnationAt(db, forgotten + 1);
  if (!incarnation || incarnation.forgotten_through === 0) return [];
  return [{ kind: 'forgotten', terminal: incarnation.terminal, ...headAt(db, incarnation, forgotten) }];
}

function inOrder(
  entries: readonly EntryRow[],
  personal: ReadonlyMap<number, readonly PersonalValue[]>,
  checkpoints: readonly CheckpointRow[],
): readonly JournalItem[] {
  const items: JournalItem[] = [];
  let signed = 0;
  const takeCheckpoints = (before: number) => {
    for (let row = checkpoints[signed]; row && row.position < before; row = checkpoints[signed]) {
      items.push({ kind: 'checkpoint', raw: row.raw, signature: row.signature });
      signed += 1;
    }
  };
  for (const { position, raw, hash } of entries) {
    takeCheckpoints(position);
    items.push({ kind: 'entry', raw, hash, personal: personal.get(position) ?? [] });
  }
  takeCheckpoints(Number.POSITIVE_INFINITY);
  return items;
}

/** Personal values of the entries behind position `after`, by their positions. */
export function personalBetween(
  db: Sqlite,
  after: number,
  until: number,
): ReadonlyMap<number, readonly PersonalValue[]> {
  const byPosition = new Map<number, PersonalValue[]>();
  const rows = db.prepare<[number, number], PersonalRow>(
    'SELECT position, field, salt, value FROM personal WHERE position > ? AND position <= ?',
  );
  for (const { position, ...value } of rows.iterate(after, until)) {
    const values = byPosition.get(position);
    if (values) values.push(value);
    else byPosition.set(position, [value]);
  }
  return byPosition;
}

/** Entries that fit `query`, in the order written; an entry that cannot be read is left to `verifyJournal`. */
export function listEntries(db: Sqlite, query: JournalQuery): readonly JournalView[] {
  const newest = query.fromSequence === undefined;
  const first = newest ? 1 : firstPosition(db) + (query.fromSequence ?? 1) - 1;
  // entries are canonical JSON: the text of a member is found without parsing every entry
  const statement = db.prepare<[number, Uint8Array, Uint8Array], EntryRow>(
    `SELECT position, raw, hash FROM entries WHERE position >= ? AND instr(raw, ?) > 0 AND instr(raw, ?) > 0
     ORDER BY position ${newest ? 'DESC' : 'ASC'}`,
  );
  const views: JournalView[] = [];
  const rows = statement.iterate(first, member('kind', query.kind), member('door', query.doorId));
  for (const row of rows) {
    const entry = parseEntry(row.raw);
    if (!entry) continue;
    if (query.kind !== undefined && entry.kind !== query.kind) continue;
    if (query.doorId !== undefined && entry.body.door !== query.doorId) continue;
    const values = personalBetween(db, row.position - 1, row.position).get(row.position) ?? [];
    const personal = Object.fromEntries(values.map(({ field, value }) => [field, value]));
    views.push({ entry, hash: toHex(row.hash), personal });
    if (views.length >= query.limit) break;
  }
  return newest ? views.reverse() : views;
}

function member(name: string, value: string | undefined): Uint8Array {
  return new TextEncoder().encode(
    value === undefined ? '{' : `${JSON.stringify(name)}:${JSON.stringify(value)}`,
  );
}

function firstPosition(db: Sqlite): number {
  const row = db
    .prepare<[], { first: number | null }>('SELECT max(first_position) AS first FROM incarnations')
    .get();
  return row?.first ?? 1;
}
