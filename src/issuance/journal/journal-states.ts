import type { JournalDatabase } from '../storage/databases.ts';

/** How far the journal of one terminal is stored, and what was found to be wrong with it. */
export interface JournalState {
  readonly terminal: string;
  /** of the device as it is now */
  readonly incarnation: string;
  /** the last entry that is stored of it; 0: none */
  readonly sequence: number;
  /** upper-case hexadecimal */
  readonly hash: string;
  /** the last entry that a checkpoint stored here signs; 0: none */
  readonly signedThrough: number;
  readonly lastAtMs?: number;
  readonly lastReceivedAtMs?: number;
  /** entries that are missing for good, of all incarnations */
  readonly missing: number;
  /** what was found to be wrong, of all incarnations */
  readonly alarms: number;
  /** entries are being compared again, since some were rewritten */
  readonly comparing: boolean;
}

/** How far the journals of one organization are stored. */
export class JournalStates {
  readonly #db: JournalDatabase;

  constructor(parts: { readonly db: JournalDatabase }) {
    this.#db = parts.db;
  }

  /** By the name of the terminal. */
  async list(): Promise<readonly JournalState[]> {
    const rows = await this.#db
      .selectFrom('journal_terminals')
      .innerJoin('chains', 'chains.chain', 'journal_terminals.latest_chain')
      .leftJoin('entries', (join) =>
        join.onRef('entries.chain', '=', 'chains.chain').onRef('entries.sequence', '=', 'chains.sequence'),
      )
      .selectAll('chains')
      .select(['entries.at_ms', 'entries.received_at_ms'])
      .orderBy('chains.terminal')
      .execute();
    const wrong = await this.#wrong();
    return rows.map((row) => ({
      terminal: row.terminal,
      incarnation: row.incarnation,
      sequence: row.sequence,
      hash: row.hash,
      signedThrough: row.signed_through,
      ...(row.at_ms !== null && { lastAtMs: row.at_ms }),
      ...(row.received_at_ms !== null && { lastReceivedAtMs: row.received_at_ms }),
      missing: wrong.get(row.terminal)?.missing ?? 0,
      alarms: wrong.get(row.terminal)?.alarms ?? 0,
      comparing: row.compare_through > 0,
    }));
  }

  async #wrong(): Promise<ReadonlyMap<string, { readonly alarms: number; readonly missing: number }>> {
    const rows = await this.#db
      .selectFrom('alarms')
      .innerJoin('chains', 'chains.chain', 'alarms.chain')
      .select(['chains.terminal', 'alarms.kind', 'alarms.from_sequence', 'alarms.to_sequence'])
      .execute();
    const found = new Map<string, { alarms: number; missing: number }>();
    for (const { terminal, kind, from_sequence, to_sequence } of rows) {
      const one = found.get(terminal) ?? { alarms: 0, missing: 0 };
      one.alarms += 1;
      if (kind === 'entries-missing') one.missing += to_sequence - from_sequence + 1;
      found.set(terminal, one);
    }
    return found;
  }
}
