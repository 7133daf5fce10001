import { type JournalEntry, parseEntry } from '#core/journal/entry.ts';
import type { JournalItem } from '#core/journal/verify.ts';
import type { JournalDatabase } from '../storage/databases.ts';
import type { JournalAlarm } from './journal-store.ts';

const pageSize = 500;

/** Where a list goes on: behind this entry, towards the past. */
export interface EntryCursor {
  readonly atMs: number;
  readonly chain: number;
  readonly sequence: number;
}

export interface EntryFilter {
  readonly terminal?: string;
  readonly kind?: string;
  readonly door?: string;
  readonly tapId?: string;
  /** inclusive */
  readonly fromMs?: number;
  /** exclusive */
  readonly untilMs?: number;
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
    const { terminal, kind, door, tapId, fromMs, untilMs } = filter;
    let query = this.#db
      .selectFrom('entries')
      .innerJoin('chains', 'chains.chain', 'entries.chain')
      .selectAll('entries')
      .select(['chains.terminal', 'chains.incarnation']);
    if (terminal !== undefined) query = query.where('chains.terminal', '=', terminal);
    if (kind !== undefined) query = query.where('entries.kind', '=', kind);
    if (door !== undefined) query = query.where('entries.door', '=', door);
    if (tapId !== undefined) query = query.where('entries.tap_id', '=', tapId);
    if (fromMs !== undefined) query = query.where('entries.at_ms', '>=', fromMs);
    if (untilMs !== undefined) query = query.where('entries.at_ms', '<', untilMs);
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
    const entries: ShownEntry[] = [];
    for (const row of rows) {
      const personal = await this.#personal(row.chain, row.sequence, row.sequence);
      entries.push({
        terminal: row.terminal,
        incarnation: row.incarnation,
        sequence: row.sequence,
        atMs: row.at_ms,
        receivedAtMs: row.received_at_ms,
        kind: row.kind,
        entry: parseEntry(row.raw),
        personal: Object.fromEntries(personal.map(({ field, value }) => [field, value])),
      });
    }
    const last = rows.length === limit ? rows.at(-1) : undefined;
    if (!last) return { entries };
    return { entries, next: { atMs: last.at_ms, chain: last.chain, sequence: last.sequence } };
  }

  /** All that is stored of a terminal, as `verifyJournal` takes it. */
  async *items(terminal: string): AsyncIterable<JournalItem> {
    const chains = await this.#db
      .selectFrom('chains')
      .select('chain')
      .where('terminal', '=', terminal)
      .orderBy('registered_at_ms')
      .orderBy('chain')
      .execute();
    for (const { chain } of chains) yield* this.#itemsOf(chain);
  }

  /** What was found to be wrong, oldest first. */
  async alarms(terminal: string): Promise<readonly JournalAlarm[]> {
    const rows = await this.#db
      .selectFrom('alarms')
      .innerJoin('chains', 'chains.chain', 'alarms.chain')
      .select(['chains.incarnation', 'alarms.kind', 'alarms.from_sequence', 'alarms.to_sequence'])
      .where('chains.terminal', '=', terminal)
      .orderBy('alarms.raised_at_ms')
      .orderBy('alarms.from_sequence')
      .orderBy('alarms.kind')
      .execute();
    return rows.map((row) => ({
      terminal,
      incarnation: row.incarnation,
      kind: row.kind,
      fromSequence: row.from_sequence,
      toSequence: row.to_sequence,
    }));
  }

  async *#itemsOf(chain: number): AsyncIterable<JournalItem> {
    for (let after = 0; ; ) {
      const rows = await this.#db
        .selectFrom('entries')
        .select(['sequence', 'raw', 'hash'])
        .where('chain', '=', chain)
        .where('sequence', '>', after)
        .orderBy('sequence')
        .limit(pageSize)
        .execute();
      const last = rows.at(-1);
      if (!last) return;
      const personal = await this.#personal(chain, after + 1, last.sequence);
      const checkpoints = await this.#db
        .selectFrom('checkpoints')
        .selectAll()
        .where('chain', '=', chain)
        .where('sequence', '>', after)
        .where('sequence', '<=', last.sequence)
        .execute();
      const valuesOf = Map.groupBy(personal, ({ sequence }) => sequence);
      const signed = new Map(checkpoints.map((checkpoint) => [checkpoint.sequence, checkpoint]));
      for (const { sequence, raw, hash } of rows) {
        yield { kind: 'entry', raw, hash, personal: valuesOf.get(sequence) ?? [] };
        const checkpoint = signed.get(sequence);
        if (checkpoint) yield { kind: 'checkpoint', ...checkpoint };
      }
      after = last.sequence;
    }
  }

  async #personal(chain: number, from: number, to: number) {
    const rows = await this.#db
      .selectFrom('personal')
      .select(['sequence', 'field', 'salt', 'value'])
      .where('chain', '=', chain)
      .where('sequence', '>=', from)
      .where('sequence', '<=', to)
      .orderBy('sequence')
      .orderBy('field')
      .execute();
    return rows.map((row) => ({ ...row, value: String(JSON.parse(row.value)) }));
  }
}
