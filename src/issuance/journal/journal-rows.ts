import type { Transaction } from 'kysely';
import { toHex } from '#core/bytes/bytes.ts';
import { merged, type SequenceRange } from '#core/journal/erasure.ts';
import type { JournalTables } from '../storage/journal-tables.ts';
import { RowInsertion } from '../storage/row-insertion.ts';
import type { ChainGrowth } from './chain-growth.ts';
import type { RegisteredChain } from './chain-register.ts';
import type { CheckedBatch, CheckedEntry } from './checked-batch.ts';

/** of one statement; databases limit the number of its parameters */
const mostRows = 500;
const mostRanges = 100;
const latestMs = 8_640_000_000_000_000;

/** A personal value as its column holds it: a JSON string, which holds every text. */
export function valueText(value: string): string {
  return JSON.stringify(value);
}

type JournalTransaction = Transaction<JournalTables>;

/** The hashes of those entries stored that a batch, or a checkpoint in it, speaks of. */
export async function storedHashes(
  db: JournalTransaction,
  { chain, sequence: head }: RegisteredChain,
  { entries, checkpoints }: CheckedBatch,
): Promise<(sequence: number) => string | undefined> {
  const asked = [...entries, ...checkpoints].map(({ sequence }) => sequence);
  const sequences = [...new Set(asked.filter((sequence) => sequence <= head))];
  const hashes = new Map<number, string>();
  for (const some of pagesOf(sequences)) {
    const rows = await db
      .selectFrom('entries')
      .select(['sequence', 'hash'])
      .where('chain', '=', chain)
      .where('sequence', 'in', [...some])
      .execute();
    for (const row of rows) hashes.set(row.sequence, toHex(row.hash));
  }
  return (sequence) => hashes.get(sequence);
}

/** Stores entries, their personal values beside them, and checkpoints. */
export async function writeEntries(
  db: JournalTransaction,
  { chain }: RegisteredChain,
  { added, checkpoints, atMs }: Pick<ChainGrowth, 'added' | 'checkpoints'> & { readonly atMs: number },
): Promise<void> {
  await entryInsertion.insert(
    db,
    added.map((entry) => entryRow(chain, entry, atMs)),
  );
  await personalInsertion.insert(
    db,
    added.flatMap(({ sequence, personal }) =>
      personal.map(({ field, salt, value }) => [chain, sequence, field, salt, valueText(value)]),
    ),
  );
  await checkpointInsertion.insert(
    db,
    checkpoints.map(({ sequence, raw, signature }) => [chain, sequence, raw, signature]),
  );
}

/** Keeps what contradicts the entries stored; resolves to the entries, in order, for which there was no other before. */
export async function writeEvidence(
  db: JournalTransaction,
  { chain }: RegisteredChain,
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

/** Erases the personal values that entries of the same terminal say were erased there. */
export async function eraseRecorded(
  db: JournalTransaction,
  { terminal }: RegisteredChain,
  added: readonly CheckedEntry[],
): Promise<void> {
  const erasures = added.flatMap(({ erasure }) => erasure ?? []);
  for (const [incarnation, own] of Map.groupBy(erasures, (one) => one.incarnation)) {
    const row = await db
      .selectFrom('chains')
      .select('chain')
      .where('terminal', '=', terminal)
      .where('incarnation', '=', incarnation)
      .executeTakeFirst();
    // one that is not here has no values here
    if (row) await erasePersonal(db, row.chain, merged(own.flatMap(({ ranges }) => ranges)));
  }
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
  unlessThere: true,
});

/** In the order of the columns. */
function entryRow(chain: number, entry: CheckedEntry, receivedAtMs: number) {
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

function* pagesOf<T>(items: readonly T[], size = mostRows): Iterable<readonly T[]> {
  for (let from = 0; from < items.length; from += size) yield items.slice(from, from + size);
}
