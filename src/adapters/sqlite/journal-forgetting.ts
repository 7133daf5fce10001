import { toHex } from '#core/bytes/bytes.ts';
import type { ForgottenHead } from '#core/journal/forgetting.ts';
import type { ForgettingPlan, ForgettingRequest, UploadedThrough } from '#ports/journal-keeping.ts';
import type { Sqlite } from './database.ts';
import type { Incarnation } from './journal-incarnation.ts';

/** The last entries are kept however long ago the server stored them: people on the device look at them. */
const keptAlways = 1_000;
/** looked at in one go for what is young enough to be kept */
const lookAhead = 2_000;
/** A time further ahead than this is of a clock that was wrong, and keeps nothing. */
const wrongAheadMs = 86_400_000;

/** Position of the last entry that was let go of, 0 for none. */
export function forgottenPosition(db: Sqlite): number {
  const row = db
    .prepare<[], { last: number | null }>(
      'SELECT max(first_position + forgotten_through - 1) AS last FROM incarnations WHERE forgotten_through > 0',
    )
    .get();
  return row?.last ?? 0;
}

export function lastPosition(db: Sqlite): number {
  return (
    db.prepare<[], { last: number | null }>('SELECT max(position) AS last FROM entries').get()?.last ?? 0
  );
}

/** How far the server has the journal, by position. */
export function uploadedThrough(db: Sqlite): UploadedThrough {
  const row = db.prepare<[], UploadedThrough>('SELECT stored, signed FROM upload').get();
  return row ?? { stored: 0, signed: 0 };
}

/** How many entries may be let go of whenever their space is needed. */
export function forgettableEntries(db: Sqlite): number {
  return Math.max(0, forgettableThrough(db) - forgottenPosition(db));
}

function forgettableThrough(db: Sqlite): number {
  const { stored, signed } = uploadedThrough(db);
  return Math.min(stored, signed, lastPosition(db) - keptAlways);
}

/** What is to be let go of next, all of one incarnation; undefined for nothing. */
export function planForgetting(db: Sqlite, request: ForgettingRequest): ForgettingPlan | undefined {
  const from = forgottenPosition(db) + 1;
  const incarnation = incarnationAt(db, from);
  if (!incarnation) return undefined;
  const limit = Math.min(forgettableThrough(db), endOf(db, incarnation), from + request.most - 1);
  const through = request.olderThanMs === undefined ? limit : agedThrough(db, from, limit, request);
  if (through < from) return undefined;
  return { through, count: through - from + 1, head: headAt(db, incarnation, through) };
}

/** Lets go of the entries through position `through`, `most` of them at once; whether that was all of them. */
export function forgetSome(db: Sqlite, through: number, most: number): boolean {
  const from = forgottenPosition(db) + 1;
  const incarnation = incarnationAt(db, from);
  if (!incarnation) return true;
  const last = Math.min(through, endOf(db, incarnation), lastPosition(db) - 1, from + most - 1);
  if (last < from) return true;
  const { sequence } = headAt(db, incarnation, last);
  for (const table of ['personal', 'checkpoints']) {
    db.prepare(`DELETE FROM ${table} WHERE position BETWEEN ? AND ?`).run(from, last);
  }
  db.prepare(
    `UPDATE incarnations SET forgotten_through = ?, forgotten_hash = (SELECT hash FROM entries WHERE position = ?)
     WHERE number = ?`,
  ).run(sequence, last, incarnation.number);
  db.prepare('DELETE FROM entries WHERE position BETWEEN ? AND ?').run(from, last);
  return last >= through;
}

/** Through the last entry before the first that is young; the order of entries counts, for clocks may have been wrong. */
function agedThrough(
  db: Sqlite,
  from: number,
  limit: number,
  { olderThanMs = 0, nowMs }: ForgettingRequest,
): number {
  const young = db
    .prepare<[number, number, number, number], number>(
      'SELECT position FROM entries WHERE position BETWEEN ? AND ? AND at_ms BETWEEN ? AND ? ORDER BY position LIMIT 1',
    )
    .pluck();
  for (let at = from; at <= limit; at += lookAhead) {
    const found = young.get(at, Math.min(limit, at + lookAhead - 1), olderThanMs, nowMs + wrongAheadMs);
    if (found !== undefined) return found - 1;
  }
  return limit;
}

/** The incarnation that the entry at `position` belongs to. */
export function incarnationAt(db: Sqlite, position: number): Incarnation | undefined {
  return db
    .prepare<[number], Incarnation>(
      'SELECT * FROM incarnations WHERE first_position <= ? ORDER BY number DESC LIMIT 1',
    )
    .get(position);
}

/** Position of the last entry of an incarnation. */
export function endOf(db: Sqlite, { number }: Pick<Incarnation, 'number'>): number {
  const next = db
    .prepare<[number], number | null>('SELECT min(first_position) FROM incarnations WHERE number > ?')
    .pluck()
    .get(number);
  return next ? next - 1 : lastPosition(db);
}

/** The entry at `position`, which is there or was the last that was let go of. */
export function headAt(
  db: Sqlite,
  { id, first_position, forgotten_through, forgotten_hash }: Incarnation,
  position: number,
): ForgottenHead {
  const sequence = position - first_position + 1;
  const kept = db.prepare<[number], Uint8Array>('SELECT hash FROM entries WHERE position = ?').pluck();
  const hash = sequence === forgotten_through ? forgotten_hash : kept.get(position);
  return { incarnation: id, sequence, hash: toHex(hash ?? new Uint8Array(32)) };
}
