import type { Transaction } from 'kysely';
import { toHex } from '#core/bytes/bytes.ts';
import type { SequenceRange } from '#core/journal/erasure.ts';
import type { JournalTables } from '../storage/journal-tables.ts';
import { RowInsertion } from '../storage/row-insertion.ts';
import type { ChainGrowth } from './chain-growth.ts';
import type { CheckedEntry } from './checked-batch.ts';

/** of one statement; databases limit the number of its parameters */
const mostRows = 500;
const mostRanges = 100;
const latestMs = 8_640_000_000_000_000;

/** A personal value as its column holds it: a JSON string, which holds every text. */
export function valueText(value: string): string {
  return JSON.stringify(value);
}

type JournalTransaction = Transaction<JournalTables>;
type Row = readonly (string | number | Uint8Array | null)[];

/** Entries of one transaction, written together: all of them before anything of an entry is read or erased. */
export class EntryRows {
  readonly #db: JournalTransaction;
  #entries: Row[] = [];
  #personal: Row[] = [];
  #checkpoints: Row[] = [];

  constructor({ db }: { readonly db: JournalTransaction }) {
    this.#db = db;
  }

  /** Takes entries, their personal values beside them, and checkpoints. */
  take(
    chain: number,
    { added, checkpoints }: Pick<ChainGrowth, 'added' | 'checkpoints'>,
    receivedAtMs: number,
  ): void {
    for (const entry of added) {
      this.#entries.push(entryRow(chain, entry, receivedAtMs));
      for (const { field, salt, value } of entry.personal)
        this.#personal.push([chain, entry.sequence, field, salt, valueText(value)]);
    }
    for (const { sequence, raw, signature } of checkpoints)
      this.#checkpoints.push([chain, sequence, raw, signature]);
  }

  async write(): Promise<void> {
    const [entries, personal, checkpoints] = [this.#entries, this.#personal, this.#checkpoints];
    [this.#entries, this.#personal, this.#checkpoints] = [[], [], []];
    await entryInsertion.insert(this.#db, entries);
    await personalInsertion.insert(this.#db, personal);
    await checkpointInsertion.insert(this.#db, checkpoints);
  }

  /** The hashes of those of `sequences` that are stored, upper-case hexadecimal. */
  async hashes(chain: number, sequences: readonly number[]): Promise<ReadonlyMap<number, string>> {
    const hashes = new Map<number, string>();
    if (sequences.length === 0) return hashes;
    await this.write();
    for (const some of pagesOf(sequences)) {
      const rows = await this.#db
        .selectFrom('entries')
        .select(['sequence', 'hash'])
        .where('chain', '=', chain)
        .where('sequence', 'in', [...some])
        .execute();
      for (const row of rows) hashes.set(row.sequence, toHex(row.hash));
    }
    return hashes;
  }

  /** Erases the personal values of entries in `ranges`. */
  async erase(chain: number, ranges: readonly SequenceRange[]): Promise<void> {
    await this.write();
    await erasePersonal(this.#db, chain, ranges);
  }
}

/** Keeps what contradicts the entries stored; resolves to the entries, in order, for which there was no other before. */
export async function writeEvidence(
  db: JournalTransaction,
  chain: number,
  growth: Pick<ChainGrowth, 'contradicting' | 'contradictingCheckpoints'> & { readonly atMs: number },
): Promise<readonly number[]> {
  const received = { chain, received_at_ms: growth.atMs };
  const rows = [
    ...growth.contradicting.map(({ sequence, raw }) => ({
      ...received,
      sequence,
      kind: 'entry' as const,
      raw,
      signature: null,
    })),
    ...growth.contradictingCheckpoints.map(({ sequence, raw, signature }) => ({
      ...received,
      sequence,
      kind: 'checkpoint' as const,
      raw,
      signature,
    })),
  ];
  const rewritten: number[] = [];
  for (const some of pagesOf(rows)) {
    const kept = await db
      .insertInto('evidence')
      .values([...some])
      .onConflict((conflict) => conflict.doNothing())
      .returning(['sequence', 'kind'])
      .execute();
    rewritten.push(...kept.filter(({ kind }) => kind === 'entry').map(({ sequence }) => sequence));
  }
  return rewritten.sort((a, b) => a - b);
}

/** Erases the personal values of entries in `ranges`, many in one statement; resolves to how many there were. */
export async function erasePersonal(
  db: JournalTransaction,
  chain: number,
  ranges: readonly SequenceRange[],
): Promise<number> {
  let values = 0;
  for (const some of pagesOf(ranges, mostRanges)) {
    const { numDeletedRows } = await db
      .deleteFrom('personal')
      .where('chain', '=', chain)
      .where(({ eb, and, or }) =>
        or(some.map(([from, to]) => and([eb('sequence', '>=', from), eb('sequence', '<=', to)]))),
      )
      .executeTakeFirst();
    values += Number(numDeletedRows);
  }
  return values;
}

const entryInsertion = new RowInsertion({
  table: 'entries',
  columns: {
    chain: 'bigint',
    sequence: 'bigint',
    raw: 'bytea',
    hash: 'bytea',
    kind: 'text',
    at_ms: 'bigint',
    tap_id: 'text',
    door: 'text',
    received_at_ms: 'bigint',
  },
});
const personalInsertion = new RowInsertion({
  table: 'personal',
  columns: { chain: 'bigint', sequence: 'bigint', field: 'text', salt: 'bytea', value: 'text' },
});
const checkpointInsertion = new RowInsertion({
  table: 'checkpoints',
  columns: { chain: 'bigint', sequence: 'bigint', raw: 'bytea', signature: 'bytea' },
  existing: 'kept',
});

/** In the order of the columns. */
function entryRow(chain: number, entry: CheckedEntry, receivedAtMs: number): Row {
  return [
    chain,
    entry.sequence,
    entry.raw,
    Buffer.from(entry.hashText, 'hex'),
    entry.kind ?? '',
    Math.trunc(Math.max(-latestMs, Math.min(latestMs, entry.atMs ?? receivedAtMs))),
    entry.tapId ?? null,
    entry.door ?? null,
    receivedAtMs,
  ];
}

/** The items in their order, at most `size` at a time. */
export function* pagesOf<T>(items: readonly T[], size = mostRows): Iterable<readonly T[]> {
  for (let from = 0; from < items.length; from += size) yield items.slice(from, from + size);
}
