import type { Transaction } from 'kysely';
import { toHex } from '#core/bytes/bytes.ts';
import { noPrevious } from '#core/journal/entry.ts';
import type { ChainPosition, EndedChain, JournalBatch } from '#core/sync/journal-batch.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { JournalTables } from '../storage/journal-tables.ts';
import type { Comparison, StoredChain } from './chain-growth.ts';
import { at, type Wrong } from './checked-batch.ts';

/** An incarnation that is stored, and where. */
export interface RegisteredChain extends StoredChain {
  readonly chain: number;
  readonly terminal: string;
  readonly incarnation: string;
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

/** Which incarnations of which terminals there are. */
export class ChainRegister {
  readonly #clock: Clock;
  readonly #entropy: Entropy;

  constructor(parts: { readonly clock: Clock; readonly entropy: Entropy }) {
    this.#clock = parts.clock;
    this.#entropy = parts.entropy;
  }

  /** Until the transaction ends, nobody else stores anything of this terminal. */
  async lock(db: JournalTransaction, terminal: string): Promise<void> {
    // a write locks the row on every kind of database
    const locking = db
      .updateTable('journal_terminals')
      .set((row) => ({ latest_chain: row.ref('latest_chain') }))
      .where('terminal', '=', terminal);
    const { numUpdatedRows } = await locking.executeTakeFirst();
    if (numUpdatedRows > 0n) return;
    await db
      .insertInto('journal_terminals')
      .values({ terminal, latest_chain: 0 })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    await locking.executeTakeFirst();
  }

  /**
   * The incarnation of a batch, registered where it is new. One that begins behind another of the same journal waits for
   * the end of that one, so that whatever grows after its successor has come is a device that is there twice. It waits no
   * longer than the terminal has something of that one to send.
   */
  async find(
    db: JournalTransaction,
    { terminal, incarnation, first, oldestKept, after }: Omit<JournalBatch, 'entries' | 'checkpoints'>,
  ): Promise<FoundChain> {
    const known = await this.#known(db, terminal, incarnation);
    if (known) return { kind: 'found', chain: known };
    if (first > oldestKept) return tooEarly({ incarnation, sequence: 0, hash: noPrevious });
    if (!after) return { kind: 'found', chain: await this.#add(db, terminal, incarnation) };
    const ended = await this.#known(db, terminal, after.incarnation);
    const sequence = ended?.sequence ?? 0;
    if (sequence < after.sequence && after.oldestKept <= after.sequence) {
      const hash = ended?.hash ?? noPrevious;
      return tooEarly({ incarnation: after.incarnation, sequence, hash }, ended?.signedThrough);
    }
    const chain = ended ?? (await this.#add(db, terminal, after.incarnation));
    const wrong = await endOf(db, chain, after);
    return { kind: 'found', chain: await this.#add(db, terminal, incarnation), before: { chain, wrong } };
  }

  /** Whether another incarnation has taken the place of this one. */
  async isFollowed(db: JournalTransaction, { chain, terminal }: RegisteredChain): Promise<boolean> {
    const row = await db
      .selectFrom('journal_terminals')
      .select('latest_chain')
      .where('terminal', '=', terminal)
      .executeTakeFirstOrThrow();
    return row.latest_chain !== chain;
  }

  async keep(db: JournalTransaction, now: RegisteredChain): Promise<void> {
    await db
      .updateTable('chains')
      .set({
        sequence: now.sequence,
        hash: now.hash,
        signed_through: now.signedThrough,
        returned: Number(now.returned),
        compare_behind: now.comparison.behind,
        compare_through: now.comparison.through,
      })
      .where('chain', '=', now.chain)
      .execute();
  }

  async #known(
    db: JournalTransaction,
    terminal: string,
    incarnation: string,
  ): Promise<RegisteredChain | undefined> {
    const row = await db
      .selectFrom('chains')
      .selectAll()
      .where('terminal', '=', terminal)
      .where('incarnation', '=', incarnation)
      .executeTakeFirst();
    if (!row) return undefined;
    return {
      chain: row.chain,
      terminal,
      incarnation,
      sequence: row.sequence,
      hash: row.hash,
      signedThrough: row.signed_through,
      returned: row.returned !== 0,
      comparison: { behind: row.compare_behind, through: row.compare_through },
    };
  }

  async #add(db: JournalTransaction, terminal: string, incarnation: string): Promise<RegisteredChain> {
    // numbers in order would make terminals wait for each other
    const chain = numberOf(this.#entropy.bytes(8));
    await db
      .insertInto('chains')
      .values({
        chain,
        terminal,
        incarnation,
        registered_at_ms: this.#clock.utcMs(),
        sequence: 0,
        hash: noPrevious,
        signed_through: 0,
        returned: 0,
        compare_behind: 0,
        compare_through: 0,
      })
      .execute();
    await db
      .updateTable('journal_terminals')
      .set({ latest_chain: chain })
      .where('terminal', '=', terminal)
      .execute();
    return {
      chain,
      terminal,
      incarnation,
      sequence: 0,
      hash: noPrevious,
      signedThrough: 0,
      returned: false,
      comparison: { behind: 0, through: 0 },
    };
  }
}

/** What is wrong with an incarnation of which the terminal has no more to send than is stored. */
async function endOf(
  db: JournalTransaction,
  chain: RegisteredChain,
  after: EndedChain,
): Promise<readonly Wrong[]> {
  if (chain.sequence < after.sequence) {
    return [{ kind: 'entries-missing', fromSequence: chain.sequence + 1, toSequence: after.sequence }];
  }
  const kept = await positionAt(db, chain, after.sequence);
  return kept && kept.hash !== after.hash ? [at('entry-rewritten', after.sequence)] : [];
}

/** undefined for an entry that is not stored */
export async function positionAt(
  db: JournalTransaction,
  { chain, incarnation }: RegisteredChain,
  sequence: number,
): Promise<ChainPosition | undefined> {
  if (sequence === 0) return { incarnation, sequence, hash: noPrevious };
  const row = await db
    .selectFrom('entries')
    .select('hash')
    .where('chain', '=', chain)
    .where('sequence', '=', sequence)
    .executeTakeFirst();
  return row && { incarnation, sequence, hash: toHex(row.hash) };
}

function tooEarly(position: ChainPosition, signedThrough = 0): FoundChain {
  return { kind: 'too-early', position, signedThrough };
}

/** 53 bits, the most that JavaScript holds exactly */
function numberOf(bytes: Uint8Array): number {
  return Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0) >> 11n);
}
