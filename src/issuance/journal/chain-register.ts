import { sql, type Transaction } from 'kysely';
import { noPrevious } from '#core/journal/entry.ts';
import type { ChainPosition, EndedChain } from '#core/sync/journal-batch.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { JournalTables } from '../storage/journal-tables.ts';
import { RowInsertion } from '../storage/row-insertion.ts';
import type { Comparison, StoredChain } from './chain-growth.ts';
import { at, type CheckedBatch, type Wrong } from './checked-batch.ts';
import { type EntryRows, pagesOf } from './journal-rows.ts';

/** An incarnation that is stored, and where. */
export interface RegisteredChain extends StoredChain {
  readonly chain: number;
  readonly terminal: string;
  readonly incarnation: string;
  readonly registeredAtMs: number;
  readonly returned: boolean;
  readonly comparison: Comparison;
}

export type FoundChain =
  | {
      readonly kind: 'found';
      readonly chain: RegisteredChain;
      /** what the end of the incarnation before shows to be wrong with it */
      readonly before?: { readonly chain: RegisteredChain; readonly wrong: readonly Wrong[] };
    }
  /** entries before these are missing: those behind `position` */
  | { readonly kind: 'too-early'; readonly position: ChainPosition; readonly signedThrough: number };

type JournalTransaction = Transaction<JournalTables>;
type Known = Pick<RegisteredChain, 'terminal' | 'incarnation'>;

interface RegisterParts {
  readonly db: JournalTransaction;
  readonly clock: Pick<Clock, 'utcMs'>;
  readonly entropy: Entropy;
}

/** of one statement; databases limit the number of its parameters */
const mostRows = 500;

/** The incarnations that `batches` name. Until the transaction ends, nobody else stores anything of their terminals. */
export async function lockChains(
  batches: readonly Pick<CheckedBatch, 'batch'>[],
  parts: RegisterParts,
): Promise<ChainRegister> {
  const latest = new Map<string, number>();
  // whoever locks several terminals locks them in one order, so that no two wait for each other
  const terminals = [...new Set(batches.map(({ batch }) => batch.terminal))].sort();
  for (const some of pagesOf(terminals, mostRows)) {
    // a write locks the row on every kind of database
    const locked = await parts.db
      .insertInto('journal_terminals')
      .values(some.map((terminal) => ({ terminal, latest_chain: 0 })))
      .onConflict((conflict) =>
        conflict
          .column('terminal')
          .doUpdateSet(({ ref }) => ({ latest_chain: ref('journal_terminals.latest_chain') })),
      )
      .returningAll()
      .execute();
    for (const { terminal, latest_chain } of locked) latest.set(terminal, latest_chain);
  }
  const named = batches.flatMap(({ batch: { terminal, incarnation, after } }) => [
    { terminal, incarnation },
    ...(after ? [{ terminal, incarnation: after.incarnation }] : []),
  ]);
  return new ChainRegister({ ...parts, latest, known: await knownOf(parts.db, named) });
}

async function knownOf(
  db: JournalTransaction,
  named: readonly Known[],
): Promise<Map<string, RegisteredChain | undefined>> {
  const known = new Map<string, RegisteredChain | undefined>(named.map((one) => [keyOf(one), undefined]));
  for (const some of pagesOf(named, mostRows)) {
    const rows = await db
      .selectFrom('chains')
      .selectAll()
      .where(({ refTuple }) => {
        const values = some.map(({ terminal, incarnation }) => sql`(${terminal}, ${incarnation})`);
        return sql<boolean>`${refTuple('terminal', 'incarnation')} in (values ${sql.join(values)})`;
      })
      .execute();
    for (const row of rows) known.set(keyOf(row), chainOf(row));
  }
  return known;
}

/** Which incarnations there are of terminals that nobody else stores anything of; what becomes of them is written at once. */
export class ChainRegister {
  readonly #parts: RegisterParts;
  /** by terminal */
  readonly #latest: Map<string, number>;
  readonly #known: Map<string, RegisteredChain | undefined>;
  readonly #followed = new Set<string>();
  readonly #added = new Set<string>();
  readonly #kept = new Set<string>();

  constructor(
    parts: RegisterParts & {
      readonly latest: Map<string, number>;
      readonly known: Map<string, RegisteredChain | undefined>;
    },
  ) {
    this.#parts = parts;
    this.#latest = parts.latest;
    this.#known = parts.known;
  }

  /**
   * The incarnation of a batch, registered where it is new. One that begins behind another of the same journal waits for
   * the end of that one, so that whatever grows after its successor has come is a device that is there twice. It waits no
   * longer than the terminal has something of that one to send.
   */
  async find(
    { terminal, incarnation, first, oldestKept, after }: CheckedBatch['batch'],
    rows: EntryRows,
  ): Promise<FoundChain> {
    const known = await this.known({ terminal, incarnation });
    if (known) return { kind: 'found', chain: known };
    if (first > oldestKept) return tooEarly({ incarnation, sequence: 0, hash: noPrevious });
    if (!after) return { kind: 'found', chain: this.#add({ terminal, incarnation }) };
    const ended = await this.known({ terminal, incarnation: after.incarnation });
    const sequence = ended?.sequence ?? 0;
    if (sequence < after.sequence && after.oldestKept <= after.sequence) {
      const hash = ended?.hash ?? noPrevious;
      return tooEarly({ incarnation: after.incarnation, sequence, hash }, ended?.signedThrough);
    }
    const chain = ended ?? this.#add({ terminal, incarnation: after.incarnation });
    const wrong = await endOf(rows, chain, after);
    return { kind: 'found', chain: this.#add({ terminal, incarnation }), before: { chain, wrong } };
  }

  /** undefined for an incarnation of which nothing is stored */
  async known(one: Known): Promise<RegisteredChain | undefined> {
    const key = keyOf(one);
    if (!this.#known.has(key)) this.#known.set(key, (await knownOf(this.#parts.db, [one])).get(key));
    return this.#known.get(key);
  }

  /** Whether another incarnation has taken the place of this one. */
  isFollowed({ chain, terminal }: RegisteredChain): boolean {
    return this.#latest.get(terminal) !== chain;
  }

  keep(now: RegisteredChain): void {
    const key = keyOf(now);
    this.#known.set(key, now);
    if (!this.#added.has(key)) this.#kept.add(key);
  }

  /** Writes what was kept and registered. */
  async write(): Promise<void> {
    const { db } = this.#parts;
    const rows = (keys: Iterable<string>) =>
      [...keys].flatMap((key) => this.#known.get(key) ?? []).map(rowOf);
    // a number that another one has fails the transaction
    await newChainInsertion.insert(db, rows(this.#added));
    await chainInsertion.insert(db, rows(this.#kept));
    const followed = [...this.#followed].map((terminal) => [terminal, this.#latest.get(terminal) ?? 0]);
    await latestInsertion.insert(db, followed);
  }

  #add({ terminal, incarnation }: Known): RegisteredChain {
    const added: RegisteredChain = {
      // numbers in order would make terminals wait for each other
      chain: numberOf(this.#parts.entropy.bytes(8)),
      terminal,
      incarnation,
      registeredAtMs: this.#parts.clock.utcMs(),
      sequence: 0,
      hash: noPrevious,
      signedThrough: 0,
      returned: false,
      comparison: { behind: 0, through: 0 },
    };
    const key = keyOf(added);
    this.#known.set(key, added);
    this.#added.add(key);
    this.#latest.set(terminal, added.chain);
    this.#followed.add(terminal);
    return added;
  }
}

/** What is wrong with an incarnation of which the terminal has no more to send than is stored. */
async function endOf(rows: EntryRows, chain: RegisteredChain, after: EndedChain): Promise<readonly Wrong[]> {
  if (chain.sequence < after.sequence) {
    return [{ kind: 'entries-missing', fromSequence: chain.sequence + 1, toSequence: after.sequence }];
  }
  const kept = await positionAt(rows, chain, after.sequence);
  return kept && kept.hash !== after.hash ? [at('entry-rewritten', after.sequence)] : [];
}

/** undefined for an entry that is not stored */
export async function positionAt(
  rows: EntryRows,
  { chain, incarnation }: RegisteredChain,
  sequence: number,
): Promise<ChainPosition | undefined> {
  if (sequence === 0) return { incarnation, sequence, hash: noPrevious };
  const hash = (await rows.hashes(chain, [sequence])).get(sequence);
  return hash === undefined ? undefined : { incarnation, sequence, hash };
}

/** Neither name has a space. */
function keyOf({ terminal, incarnation }: Known): string {
  return `${terminal} ${incarnation}`;
}

function chainOf(row: JournalTables['chains']): RegisteredChain {
  return {
    chain: row.chain,
    terminal: row.terminal,
    incarnation: row.incarnation,
    registeredAtMs: row.registered_at_ms,
    sequence: row.sequence,
    hash: row.hash,
    signedThrough: row.signed_through,
    returned: row.returned !== 0,
    comparison: { behind: row.compare_behind, through: row.compare_through },
  };
}

const chains = {
  table: 'chains',
  columns: {
    chain: 'bigint',
    terminal: 'text',
    incarnation: 'text',
    registered_at_ms: 'bigint',
    sequence: 'bigint',
    hash: 'text',
    signed_through: 'bigint',
    returned: 'bigint',
    compare_behind: 'bigint',
    compare_through: 'bigint',
  },
} as const;
const newChainInsertion = new RowInsertion(chains);
const chainInsertion = new RowInsertion({
  ...chains,
  existing: {
    key: 'chain',
    changed: ['sequence', 'hash', 'signed_through', 'returned', 'compare_behind', 'compare_through'],
  },
});
const latestInsertion = new RowInsertion({
  table: 'journal_terminals',
  columns: { terminal: 'text', latest_chain: 'bigint' },
  existing: { key: 'terminal', changed: ['latest_chain'] },
});

/** In the order of the columns. */
function rowOf({ comparison, ...chain }: RegisteredChain) {
  return [
    ...[chain.chain, chain.terminal, chain.incarnation, chain.registeredAtMs],
    ...[chain.sequence, chain.hash, chain.signedThrough, Number(chain.returned)],
    ...[comparison.behind, comparison.through],
  ];
}

function tooEarly(position: ChainPosition, signedThrough = 0): FoundChain {
  return { kind: 'too-early', position, signedThrough };
}

/** 53 bits, the most that JavaScript holds exactly */
function numberOf(bytes: Uint8Array): number {
  return Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0) >> 11n);
}
