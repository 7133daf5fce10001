import { statSync } from 'node:fs';
import { Fault } from '#core/fault.ts';
import { erasureBody, type SequenceRange } from '#core/journal/erasure.ts';
import type { JournalRecord } from '#core/journal/record.ts';
import type { Clock } from '#ports/clock.ts';
import { guarded, isBlank, type Sqlite } from './database.ts';
import { JournalFile, writable } from './journal-file.ts';

/** Which entries lose their personal values: all with a time before `beforeMs` (UTC), or one by its number. */
export type ErasureSelection =
  | { readonly beforeMs: number }
  | { readonly incarnation?: string | undefined; readonly sequence: number };

export interface ErasureRequest {
  readonly file: string;
  readonly selection: ErasureSelection;
  readonly clock: Clock;
  /** asked with the number of values to erase */
  readonly confirm: (values: number) => Promise<boolean>;
}

export interface ErasureResult {
  readonly values: number;
  readonly erased: boolean;
  /** false where a reader kept the write-ahead log from being emptied: a trace may stay there until the terminal starts */
  readonly logCleared: boolean;
}

interface Selected {
  readonly incarnation: string;
  readonly firstPosition: number;
  readonly ranges: readonly SequenceRange[];
}

/** ranges in one entry at most; a clock that jumped about can make many */
const rangesPerEntry = 500;

/**
 * Erases personal values with their salts, irrevocably, and records in the same transaction which entries lost them;
 * the chain stays as it is. For lawful deletion periods and requests.
 *
 * @throws Fault `database-in-use` while a terminal writes the journal, `journal-full`, `journal-unwritable` or database faults
 */
export async function erasePersonalValues(request: ErasureRequest): Promise<ErasureResult> {
  const { file } = request;
  if (isBlank(file)) throw new Fault('file-unreadable', `${file} does not exist`);
  const reserveMiB = Math.floor(statSync(file).size / 1_048_576);
  const journal = JournalFile.open({ file, terminal: undefined, create: false, reserveMiB });
  try {
    const db = journal.database();
    const selected = guarded(file, () => select(db, request.selection));
    const values = guarded(file, () => selected.reduce((sum, one) => sum + countValues(db, one), 0));
    if (values === 0 || !(await request.confirm(values))) return { values, erased: false, logCleared: true };
    const logCleared = eraseFor(file, db, () => erase(db, journal, selected, request.clock));
    return { values, erased: true, logCleared };
  } finally {
    journal.close();
  }
}

/** Runs `action`, which deletes, in a transaction, so that nothing of it stays in the file; whether the log is empty too. */
export function eraseFor(file: string, db: Sqlite, action: () => void): boolean {
  return writable(file, () => {
    // freed pages are overwritten, not only forgotten
    db.pragma('secure_delete = ON');
    db.transaction(action).immediate();
    const [moved] = db.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[];
    return moved?.busy === 0;
  });
}

function erase(db: Sqlite, journal: JournalFile, selected: readonly Selected[], clock: Clock): void {
  const remove = db.prepare<[number, number]>('DELETE FROM personal WHERE position BETWEEN ? AND ?');
  for (const { incarnation, firstPosition, ranges } of selected) {
    for (let at = 0; at < ranges.length; at += rangesPerEntry) {
      const part = ranges.slice(at, at + rangesPerEntry);
      let values = 0;
      for (const [from, to] of part) {
        values += remove.run(firstPosition + from - 1, firstPosition + to - 1).changes;
      }
      if (values > 0) journal.append([[erasureRecord(erasureBody(incarnation, part, values), clock)]]);
    }
  }
}

/** The entry that tells of an erasure. */
export function erasureRecord(body: JournalRecord['body'], clock: Clock): JournalRecord {
  return {
    kind: 'terminal',
    atMs: clock.utcMs(),
    monotonicUs: clock.monotonicUs(),
    bootId: clock.bootId(),
    clock: clock.trusted() ? 'trusted' : 'untrusted',
    body,
  };
}

function countValues(db: Sqlite, { firstPosition, ranges }: Selected): number {
  const count = db
    .prepare<[number, number], number>('SELECT count(*) FROM personal WHERE position BETWEEN ? AND ?')
    .pluck();
  return ranges.reduce(
    (sum, [from, to]) => sum + (count.get(firstPosition + from - 1, firstPosition + to - 1) ?? 0),
    0,
  );
}

/** The entries selected, as ranges of sequence numbers by incarnation. */
function select(db: Sqlite, selection: ErasureSelection): readonly Selected[] {
  const incarnations = db
    .prepare<[], { id: string; first: number; next: number | null }>(
      `SELECT id, first_position AS first, lead(first_position) OVER (ORDER BY number) AS next
       FROM incarnations ORDER BY number`,
    )
    .all();
  if ('sequence' in selection) {
    const chosen = selection.incarnation
      ? incarnations.find((one) => one.id === selection.incarnation)
      : incarnations.at(-1);
    if (!chosen) throw new Fault('argument-invalid', 'the journal has no such incarnation');
    const { sequence } = selection;
    const position = chosen.first + sequence - 1;
    const known = db.prepare<[number], number>('SELECT 1 FROM entries WHERE position = ?').pluck();
    if ((chosen.next !== null && position >= chosen.next) || known.get(position) === undefined) {
      throw new Fault('argument-invalid', `the journal has no entry ${sequence} in this incarnation`);
    }
    return [{ incarnation: chosen.id, firstPosition: chosen.first, ranges: [[sequence, sequence]] }];
  }
  const positions = db
    .prepare<[number, number, number], number>(
      'SELECT position FROM entries WHERE at_ms < ? AND position >= ? AND position < ? ORDER BY position',
    )
    .pluck();
  return incarnations.map(({ id, first, next }) => {
    const ranges: [number, number][] = [];
    for (const position of positions.iterate(selection.beforeMs, first, next ?? Number.MAX_SAFE_INTEGER)) {
      const sequence = position - first + 1;
      const last = ranges.at(-1);
      if (last && last[1] === sequence - 1) last[1] = sequence;
      else ranges.push([sequence, sequence]);
    }
    return { incarnation: id, firstPosition: first, ranges };
  });
}
