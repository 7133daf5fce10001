import type { Kysely } from 'kysely';
import { toHex } from '#core/bytes/bytes.ts';
import type { SequenceRange } from '#core/journal/erasure.ts';
import { exportEnd, exportHeader, exportItem } from '#core/journal/export.ts';
import type { JournalHead } from '#core/journal/record.ts';
import { type JournalItem, verifyJournal } from '#core/journal/verify.ts';
import type { VerifyReport } from '#core/journal/verify-report.ts';
import type { JournalDatabase } from '../storage/databases.ts';
import type { JournalTables } from '../storage/journal-tables.ts';

const pageSize = 500;

interface KeptChain {
  readonly chain: number;
  readonly incarnation: string;
  readonly sequence: number;
  readonly hash: string;
}

/** The journal of one terminal as it is stored here, to be verified again or carried away. */
export class StoredJournal {
  readonly #db: JournalDatabase;
  readonly #terminal: string;

  constructor(parts: { readonly db: JournalDatabase; readonly terminal: string }) {
    this.#db = parts.db;
    this.#terminal = parts.terminal;
  }

  /** All of it, as `verifyJournal` takes it. */
  async *items(): AsyncIterable<JournalItem> {
    for (const { chain, incarnation } of await this.#chains()) {
      const forgotten = await this.#db
        .selectFrom('forgotten')
        .select(['sequence', 'hash'])
        .where('chain', '=', chain)
        .executeTakeFirst();
      if (forgotten) {
        const { sequence, hash } = forgotten;
        yield { kind: 'forgotten', terminal: this.#terminal, incarnation, sequence, hash: toHex(hash) };
      }
      yield* this.#itemsOf(chain);
    }
  }

  /**
   * Walks all of it again; `publicKeys` as `journal verify` takes them. The ends are compared with those that are kept
   * beside the entries, and values that were lawfully erased here are no finding.
   */
  async verify(publicKeys: readonly (Uint8Array | string)[]): Promise<VerifyReport> {
    const chains = await this.#chains();
    const erasedElsewhere = new Map<string, readonly SequenceRange[]>();
    for (const { chain, incarnation } of chains) {
      const rows = await this.#db.selectFrom('erasures').selectAll().where('chain', '=', chain).execute();
      erasedElsewhere.set(
        incarnation,
        rows.map((row) => [row.from_sequence, row.to_sequence]),
      );
    }
    return verifyJournal(this.items(), {
      publicKeys,
      heads: chains.filter(({ sequence }) => sequence > 0),
      personalIncluded: true,
      // an end that no checkpoint signs yet is proved by the position that is kept
      checkpointEveryEntries: Number.POSITIVE_INFINITY,
      forgettingRecorded: false,
      erasedElsewhere,
    });
  }

  /** Lines of an export that `journal verify --export` checks again; `publicKeys` as DER. */
  async *exported(publicKeys: readonly Uint8Array[], personal: boolean): AsyncIterable<string> {
    yield `${exportHeader(personal)}\n`;
    for (const publicKey of publicKeys) yield `${exportItem({ kind: 'key', publicKey }, personal)}\n`;
    let entries = 0;
    for await (const item of this.items()) {
      if (item.kind === 'entry') entries += 1;
      yield `${exportItem(item, personal)}\n`;
    }
    const last = (await this.#chains()).filter(({ sequence }) => sequence > 0).at(-1);
    const head: JournalHead | undefined = last && {
      terminal: this.#terminal,
      incarnation: last.incarnation,
      sequence: last.sequence,
      hash: last.hash,
    };
    yield `${exportEnd(entries, head)}\n`;
  }

  #chains(): Promise<readonly KeptChain[]> {
    return this.#db
      .selectFrom('chains')
      .select(['chain', 'incarnation', 'sequence', 'hash'])
      .where('terminal', '=', this.#terminal)
      .orderBy('registered_at_ms')
      .orderBy('chain')
      .execute();
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
      const range = [after + 1, last.sequence] as const;
      const personal = await personalOf(this.#db, chain, { range });
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
}

/** The personal values that entries of one incarnation still have. */
export async function personalOf(
  db: Kysely<JournalTables>,
  chain: number,
  of: { readonly range: SequenceRange } | { readonly sequences: readonly number[] },
) {
  let query = db
    .selectFrom('personal')
    .select(['sequence', 'field', 'salt', 'value'])
    .where('chain', '=', chain);
  query =
    'range' in of
      ? query.where('sequence', '>=', of.range[0]).where('sequence', '<=', of.range[1])
      : query.where('sequence', 'in', [...of.sequences]);
  const rows = await query.orderBy('sequence').orderBy('field').execute();
  return rows.map((row) => ({ ...row, value: String(JSON.parse(row.value)) }));
}
