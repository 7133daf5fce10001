import { randomUUID } from 'node:crypto';
import { toHex } from '#core/bytes/bytes.ts';
import { digest } from '#core/crypto/digest.ts';
import { Fault } from '#core/fault.ts';
import { noPrevious, parseEntry } from '#core/journal/entry.ts';
import type { JournalHead } from '#core/journal/record.ts';
import type { Sqlite } from './database.ts';

/** Why a journal that has entries goes on under a new incarnation. */
export interface NewIncarnation {
  readonly reason: 'restored' | 'terminal-changed';
  /** where the journal stood as this file tells it */
  readonly before: JournalHead;
}

export interface Incarnation {
  readonly number: number;
  readonly id: string;
  readonly terminal: string;
  readonly first_position: number;
  readonly forgotten_through: number;
  readonly forgotten_hash: Uint8Array | null;
}

/**
 * The incarnation to go on with: the last one, or a new one where the terminal got another name or the file is an
 * older copy than the device remembers. Throws Fault `journal-broken` when the last entry is damaged.
 */
export function chooseIncarnation(
  db: Sqlite,
  {
    terminal,
    remembered,
  }: { readonly terminal: string | undefined; readonly remembered?: JournalHead | undefined },
): { incarnation: Incarnation; started: NewIncarnation | undefined } {
  const last = db.prepare<[], Incarnation>('SELECT * FROM incarnations ORDER BY number DESC LIMIT 1').get();
  if (!last) {
    if (terminal === undefined)
      throw new Fault('database-invalid', 'the journal was never written by a terminal');
    return { incarnation: newIncarnation(db, terminal), started: undefined };
  }
  const before = headOf(db, last);
  const name = terminal ?? last.terminal;
  const reason =
    last.terminal !== name
      ? 'terminal-changed'
      : isBehind(db, last, before, remembered)
        ? 'restored'
        : undefined;
  if (reason === undefined) return { incarnation: last, started: undefined };
  return { incarnation: newIncarnation(db, name), started: { reason, before } };
}

/** Whether this journal lacks, or contradicts, the head that the device remembers: an old copy was put back. */
function isBehind(
  db: Sqlite,
  last: Incarnation,
  head: JournalHead,
  remembered: JournalHead | undefined,
): boolean {
  if (!remembered) return false;
  const known = db
    .prepare<[string], Incarnation>('SELECT * FROM incarnations WHERE id = ?')
    .get(remembered.incarnation);
  // a copy from before that incarnation, or another journal; an empty one was made after the old one was moved aside
  if (!known) return head.sequence > 0;
  if (known.number === last.number && remembered.sequence > head.sequence) return true;
  // its hash is known no more, and what was let go of was here
  if (remembered.sequence < known.forgotten_through) return false;
  const row =
    remembered.sequence === known.forgotten_through && known.forgotten_hash
      ? { hash: known.forgotten_hash }
      : db
          .prepare<[number], { hash: Uint8Array }>('SELECT hash FROM entries WHERE position = ?')
          .get(known.first_position + remembered.sequence - 1);
  return remembered.sequence > 0 && (!row || toHex(row.hash) !== remembered.hash);
}

function newIncarnation(db: Sqlite, terminal: string): Incarnation {
  const row = db.prepare<[], { last: number | null }>('SELECT max(position) AS last FROM entries').get();
  const first = (row?.last ?? 0) + 1;
  const id = randomUUID();
  const { lastInsertRowid } = db
    .prepare('INSERT INTO incarnations (id, terminal, first_position) VALUES (?, ?, ?)')
    .run(id, terminal, first);
  const number = Number(lastInsertRowid);
  return { number, id, terminal, first_position: first, forgotten_through: 0, forgotten_hash: null };
}

/** The last entry of an incarnation. Throws Fault `journal-broken` when it is damaged: a chain is not continued from there. */
export function headOf(db: Sqlite, { id, terminal, first_position }: Incarnation): JournalHead {
  const row = db
    .prepare<[number], { position: number; raw: Uint8Array; hash: Uint8Array }>(
      'SELECT position, raw, hash FROM entries WHERE position >= ? ORDER BY position DESC LIMIT 1',
    )
    .get(first_position);
  if (!row) return { terminal, incarnation: id, sequence: 0, hash: noPrevious };
  const sequence = row.position - first_position + 1;
  const hash = toHex(digest('sha-256', row.raw));
  const entry = parseEntry(row.raw);
  if (hash !== toHex(row.hash) || entry?.sequence !== sequence || entry.incarnation !== id) {
    throw new Fault(
      'journal-broken',
      `the last entry of the journal (${sequence}) is damaged; run "journal verify", keep the file and move it aside`,
    );
  }
  return { terminal, incarnation: id, sequence, hash };
}
