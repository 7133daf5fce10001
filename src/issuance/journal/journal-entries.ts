import { type SelectQueryBuilder, type SqlBool, sql } from 'kysely';
import { type JournalEntry, parseEntry } from '#core/journal/entry.ts';
import type { JournalDatabase } from '../storage/databases.ts';
import { everydayKinds, type JournalTables, seldomEntries } from '../storage/journal-tables.ts';
import { valueText } from './journal-rows.ts';
import type { JournalAlarm } from './journal-store.ts';
import { personalOf } from './stored-journal.ts';

/** Where a list of entries goes on: behind this one, towards the past. */
export interface EntryCursor {
  readonly atMs: number;
  readonly chain: number;
  readonly sequence: number;
}

/** Where a list of alarms goes on. */
export interface AlarmCursor {
  readonly raisedAtMs: number;
  readonly chain: number;
  readonly fromSequence: number;
}

export interface TerminalFilter {
  readonly terminal?: string;
  /** those that whoever asks may see; undefined: any */
  readonly terminals?: ReadonlySet<string>;
}

export interface EntryFilter extends TerminalFilter {
  readonly kind?: string;
  readonly door?: string;
  readonly tapId?: string;
  /** inclusive, by the clock of the terminal */
  readonly fromMs?: number;
  /** exclusive */
  readonly untilMs?: number;
  /** entries with one of these personal values, such as the user numbers of a holder */
  readonly about?: { readonly field: string; readonly values: readonly string[] };
}

/** An entry as it is shown, with the personal values that are still kept. */
export interface ShownEntry {
  readonly terminal: string;
  readonly incarnation: string;
  readonly sequence: number;
  /** by the clock of the terminal */
  readonly atMs: number;
  readonly receivedAtMs: number;
  readonly kind: string;
  /** undefined where the bytes are no entry of a known format */
  readonly entry: JournalEntry | undefined;
  readonly personal: Readonly<Record<string, string>>;
}

export interface ShownAlarm extends JournalAlarm {
  readonly raisedAtMs: number;
}

/** What the terminals of one organization have recorded. */
export class JournalEntries {
  readonly #db: JournalDatabase;

  constructor(parts: { readonly db: JournalDatabase }) {
    this.#db = parts.db;
  }

  /** At most `limit` entries, newest first; `next` is where the list goes on, absent at its end. */
  async page(
    filter: EntryFilter,
    { before, limit }: { readonly before?: EntryCursor; readonly limit: number },
  ): Promise<{ readonly entries: readonly ShownEntry[]; readonly next?: EntryCursor }> {
    let query = filtered(
      this.#db
        .selectFrom('entries')
        .innerJoin('chains', 'chains.chain', 'entries.chain')
        .selectAll('entries')
        .select(['chains.terminal', 'chains.incarnation']),
      filter,
    );
    if (before) {
      query = query.where(({ eb, refTuple, tuple }) =>
        eb(
          refTuple('entries.at_ms', 'entries.chain', 'entries.sequence'),
          '<',
          tuple(before.atMs, before.chain, before.sequence),
        ),
      );
    }
    const rows = await query
      .orderBy('entries.at_ms', 'desc')
      .orderBy('entries.chain', 'desc')
      .orderBy('entries.sequence', 'desc')
      .limit(limit)
      .execute();
    const personal = new Map<string, Record<string, string>>();
    for (const [chain, own] of Map.groupBy(rows, (row) => row.chain)) {
      const sequences = own.map(({ sequence }) => sequence);
      for (const { sequence, field, value } of await personalOf(this.#db, chain, { sequences })) {
        const key = `${chain} ${sequence}`;
        personal.set(key, { ...personal.get(key), [field]: value });
      }
    }
    const entries = rows.map((row) => ({
      terminal: row.terminal,
      incarnation: row.incarnation,
      sequence: row.sequence,
      atMs: row.at_ms,
      receivedAtMs: row.received_at_ms,
      kind: row.kind,
      entry: parseEntry(row.raw),
      personal: personal.get(`${row.chain} ${row.sequence}`) ?? {},
    }));
    const last = rows.length === limit ? rows.at(-1) : undefined;
    if (!last) return { entries };
    return { entries, next: { atMs: last.at_ms, chain: last.chain, sequence: last.sequence } };
  }

  /** At most `limit` things that were found to be wrong, newest first. */
  async alarms(
    { terminal, terminals }: TerminalFilter,
    { before, limit }: { readonly before?: AlarmCursor; readonly limit: number },
  ): Promise<{ readonly alarms: readonly ShownAlarm[]; readonly next?: AlarmCursor }> {
    let query = this.#db
      .selectFrom('alarms')
      .innerJoin('chains', 'chains.chain', 'alarms.chain')
      .selectAll('alarms')
      .select(['chains.terminal', 'chains.incarnation']);
    if (terminal !== undefined) query = query.where('chains.terminal', '=', terminal);
    if (terminals) query = query.where('chains.terminal', 'in', someOf(terminals));
    if (before) {
      query = query.where(({ eb, refTuple, tuple }) =>
        eb(
          refTuple('alarms.raised_at_ms', 'alarms.chain', 'alarms.from_sequence'),
          '<',
          tuple(before.raisedAtMs, before.chain, before.fromSequence),
        ),
      );
    }
    // those of one entry have one place, and are never parted by a page
    const rows = await query
      .orderBy('alarms.raised_at_ms', 'desc')
      .orderBy('alarms.chain', 'desc')
      .orderBy('alarms.from_sequence', 'desc')
      .orderBy('alarms.kind')
      .limit(limit + mostOfOneEntry)
      .execute();
    const end = endOfPage(rows, limit);
    const shown = rows.slice(0, end);
    const alarms = shown.map((row) => ({
      terminal: row.terminal,
      incarnation: row.incarnation,
      kind: row.kind,
      fromSequence: row.from_sequence,
      toSequence: row.to_sequence,
      raisedAtMs: row.raised_at_ms,
    }));
    const last = end < rows.length ? shown.at(-1) : undefined;
    if (!last) return { alarms };
    const { raised_at_ms: raisedAtMs, chain, from_sequence: fromSequence } = last;
    return { alarms, next: { raisedAtMs, chain, fromSequence } };
  }
}

/** kinds of alarms */
const mostOfOneEntry = 16;

function endOfPage(
  rows: readonly { readonly chain: number; readonly raised_at_ms: number; readonly from_sequence: number }[],
  limit: number,
): number {
  let end = Math.min(limit, rows.length);
  const isSame = (a: (typeof rows)[number] | undefined, b: (typeof rows)[number] | undefined) =>
    a?.chain === b?.chain && a?.raised_at_ms === b?.raised_at_ms && a?.from_sequence === b?.from_sequence;
  while (end < rows.length && isSame(rows[end - 1], rows[end])) end += 1;
  return end;
}

function filtered<O>(
  query: SelectQueryBuilder<JournalTables, 'entries' | 'chains', O>,
  { terminal, terminals, kind, door, tapId, fromMs, untilMs, about }: EntryFilter,
): SelectQueryBuilder<JournalTables, 'entries' | 'chains', O> {
  let narrowed = query;
  if (terminal !== undefined) narrowed = narrowed.where('chains.terminal', '=', terminal);
  if (terminals) narrowed = narrowed.where('chains.terminal', 'in', someOf(terminals));
  if (kind !== undefined) {
    narrowed = narrowed.where('entries.kind', '=', kind);
    // otherwise no database would take the index of these
    if (!everydayKinds.has(kind)) narrowed = narrowed.where(sql<SqlBool>`${sql.raw(seldomEntries)}`);
  }
  if (door !== undefined) narrowed = narrowed.where('entries.door', '=', door);
  if (tapId !== undefined) narrowed = narrowed.where('entries.tap_id', '=', tapId);
  if (fromMs !== undefined) narrowed = narrowed.where('entries.at_ms', '>=', fromMs);
  if (untilMs !== undefined) narrowed = narrowed.where('entries.at_ms', '<', untilMs);
  if (about) {
    narrowed = narrowed.where(({ exists, selectFrom }) =>
      exists(
        selectFrom('personal')
          .select('personal.sequence')
          .whereRef('personal.chain', '=', 'entries.chain')
          .whereRef('personal.sequence', '=', 'entries.sequence')
          .where('personal.field', '=', about.field)
          .where('personal.value', 'in', someOf(about.values.map(valueText))),
      ),
    );
  }
  return narrowed;
}

/** No database knows a list of nothing; nothing that is stored is empty. */
function someOf(values: Iterable<string>): string[] {
  const all = [...values];
  return all.length > 0 ? all : [''];
}
