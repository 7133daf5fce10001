import type { Transaction } from 'kysely';
import { merged } from '#core/journal/erasure.ts';
import type { ChainPosition } from '#core/sync/journal-batch.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { JournalDatabase } from '../storage/databases.ts';
import type { JournalTables } from '../storage/journal-tables.ts';
import { type ChainGrowth, compareOn, grow, pointsBack, runsOf } from './chain-growth.ts';
import { type ChainRegister, lockChains, positionAt, type RegisteredChain } from './chain-register.ts';
import { at, type CheckedBatch, type CheckedEntry, type Wrong } from './checked-batch.ts';
import { EntryRows, writeEvidence } from './journal-rows.ts';

/** Something wrong with the journal of a terminal, told once. */
export interface JournalAlarm extends Wrong {
  readonly terminal: string;
  readonly incarnation: string;
}

/** What is stored of a terminal when its batches are. */
export interface StoredUntil {
  readonly terminal: string;
  /** the entry to go on behind */
  readonly position: ChainPosition;
  readonly signedThrough: number;
}

export interface StoredBatches {
  readonly positions: readonly StoredUntil[];
  /** those that were not known before */
  readonly alarms: readonly JournalAlarm[];
  /** entries that were not there before */
  readonly entries: number;
  /** those of them that a tap has caused, where that is asked for */
  readonly taps: readonly StoredTap[];
}

/** An entry by which a tap can be followed from the reader to the row here. */
export interface StoredTap {
  readonly terminal: string;
  readonly incarnation: string;
  readonly sequence: number;
  readonly kind: string;
  readonly tapId: string;
}

/** What the batches of one commit have to do with. */
interface Commit {
  readonly db: Transaction<JournalTables>;
  readonly register: ChainRegister;
  readonly rows: EntryRows;
}

/** The journals of the terminals of one organization, each entry stored once. Several processes may store at a time. */
export class JournalStore {
  readonly #db: JournalDatabase;
  readonly #clock: Clock;
  readonly #entropy: Entropy;
  readonly #traced: boolean;

  /** `traced`: what is stored is told by the ids of taps */
  constructor(parts: {
    readonly db: JournalDatabase;
    readonly clock: Clock;
    readonly entropy: Entropy;
    readonly traced?: boolean;
  }) {
    this.#traced = parts.traced === true;
    this.#db = parts.db;
    this.#clock = parts.clock;
    this.#entropy = parts.entropy;
  }

  /**
   * Stores batches of any terminals as one transaction; those of one terminal in the order given. When it resolves, all
   * it tells is durable; when it rejects, nothing was stored.
   */
  async store(batches: readonly CheckedBatch[]): Promise<StoredBatches> {
    return this.#db.transaction().execute(async (db) => {
      const register = await lockChains(batches, { db, clock: this.#clock, entropy: this.#entropy });
      const commit = { db, register, rows: new EntryRows({ db }) };
      const positions = new Map<string, StoredUntil>();
      const alarms: JournalAlarm[] = [];
      const taps: StoredTap[] = [];
      let entries = 0;
      for (const checked of batches) {
        const { terminal } = checked.batch;
        const { position, signedThrough, ...taken } = await this.#take(commit, checked);
        alarms.push(...taken.alarms);
        entries += taken.added.length;
        if (this.#traced) taps.push(...tapsIn(checked, taken.added));
        positions.set(terminal, { terminal, position, signedThrough });
      }
      await commit.rows.write();
      await register.write();
      return { positions: [...positions.values()], alarms, entries, taps };
    });
  }

  async #take(commit: Commit, checked: CheckedBatch): Promise<Taken> {
    const { db, register, rows } = commit;
    const found = await register.find(checked.batch, rows);
    if (found.kind === 'too-early') {
      return { position: found.position, signedThrough: found.signedThrough, alarms: [], added: [] };
    }
    const { chain, before } = found;
    const known = before ? await this.#raise(db, before.chain, before.wrong) : [];
    const stored = await rows.hashes(chain.chain, spokenOf(checked, chain.sequence));
    const growth = grow(chain, checked, (sequence) => stored.get(sequence));
    const wrong = [...growth.wrong, ...(await this.#write(commit, chain, growth))];
    const [first] = growth.added;
    const returns = first !== undefined && !chain.returned && register.isFollowed(chain);
    if (returns) wrong.push(at('incarnation-returned', first.sequence));
    const raised = await this.#raise(db, chain, wrong);
    const goesBack = pointsBack(checked, raised) && !(await isRewritten(db, chain, checked.batch.first - 1));
    const comparison = compareOn(chain.comparison, checked, goesBack);
    const now = { ...chain, ...growth.chain, returned: chain.returned || returns, comparison };
    register.keep(now);
    const { incarnation, sequence, hash, signedThrough } = now;
    const asked = comparison.through > 0 ? await positionAt(rows, chain, comparison.behind) : undefined;
    return {
      position: asked ?? { incarnation, sequence, hash },
      signedThrough,
      alarms: [...known, ...raised],
      added: growth.added,
    };
  }

  /** Resolves to the entries that were found to be rewritten just now. */
  async #write(
    { db, register, rows }: Commit,
    { chain, terminal }: RegisteredChain,
    growth: ChainGrowth,
  ): Promise<readonly Wrong[]> {
    const atMs = this.#clock.utcMs();
    rows.take(chain, growth, atMs);
    const erasures = growth.added.flatMap(({ erasure }) => erasure ?? []);
    for (const [incarnation, own] of Map.groupBy(erasures, (one) => one.incarnation)) {
      const erased = await register.known({ terminal, incarnation });
      // one that is not here has no values here
      if (erased) await rows.erase(erased.chain, merged(own.flatMap(({ ranges }) => ranges)));
    }
    const rewritten = await writeEvidence(db, chain, { ...growth, atMs });
    return runsOf(rewritten).map(([fromSequence, toSequence]) => ({
      kind: 'entry-rewritten',
      fromSequence,
      toSequence,
    }));
  }

  /** Keeps what is wrong; resolves to what was not known before. */
  async #raise(
    db: Commit['db'],
    { chain, terminal, incarnation }: RegisteredChain,
    wrong: readonly Wrong[],
  ): Promise<readonly JournalAlarm[]> {
    if (wrong.length === 0) return [];
    const raised_at_ms = this.#clock.utcMs();
    const rows = await db
      .insertInto('alarms')
      .values(
        wrong.map(({ kind, fromSequence, toSequence }) => ({
          chain,
          kind,
          from_sequence: fromSequence,
          to_sequence: toSequence,
          raised_at_ms,
        })),
      )
      .onConflict((conflict) => conflict.doNothing())
      .returningAll()
      .execute();
    return rows.map((row) => ({
      terminal,
      incarnation,
      kind: row.kind,
      fromSequence: row.from_sequence,
      toSequence: row.to_sequence,
    }));
  }
}

interface Taken {
  readonly position: ChainPosition;
  readonly signedThrough: number;
  readonly alarms: readonly JournalAlarm[];
  readonly added: readonly CheckedEntry[];
}

function tapsIn({ batch }: CheckedBatch, added: readonly CheckedEntry[]): readonly StoredTap[] {
  const { terminal, incarnation } = batch;
  return added.flatMap(({ sequence, kind = '', tapId }) =>
    tapId === undefined ? [] : [{ terminal, incarnation, sequence, kind, tapId }],
  );
}

/** Entries stored, up to the last one `head`, that a batch or a checkpoint in it speaks of. */
function spokenOf({ entries, checkpoints }: CheckedBatch, head: number): readonly number[] {
  const sequences = new Set<number>();
  for (const { sequence } of entries) if (sequence <= head) sequences.add(sequence);
  for (const { sequence } of checkpoints) if (sequence <= head) sequences.add(sequence);
  return [...sequences];
}

async function isRewritten(db: Commit['db'], { chain }: RegisteredChain, sequence: number): Promise<boolean> {
  const row = await db
    .selectFrom('evidence')
    .select('sequence')
    .where('chain', '=', chain)
    .where('sequence', '=', sequence)
    .where('kind', '=', 'entry')
    .executeTakeFirst();
  return row !== undefined;
}
