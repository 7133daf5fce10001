import type { Kysely, Transaction } from 'kysely';
import { toHex } from '#core/bytes/bytes.ts';
import { merged, type SequenceRange } from '#core/journal/erasure.ts';
import type { Clock } from '#ports/clock.ts';
import type { JournalDatabase } from '../storage/databases.ts';
import type { JournalTables, RetentionKind } from '../storage/journal-tables.ts';
import type { Actor, Ledger } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import { erasePersonal, valueText } from './journal-rows.ts';

const dayMs = 86_400_000;
/** entries of one transaction: others wait for it */
const atOnce = 500;

/** Days after which something is let go of; undefined: it is kept. */
export type RetentionRule = { readonly [what in RetentionKind]?: number };

export interface ErasedPersonal {
  readonly entries: number;
  readonly values: number;
}

interface KeptChain {
  readonly chain: number;
  /** the last entry that is stored */
  readonly sequence: number;
  readonly terminal: string;
  readonly incarnation: string;
}

export interface LettingGoParts {
  readonly db: JournalDatabase;
  readonly ledger: Ledger<PermissionsTables>;
  readonly clock: Pick<Clock, 'utcMs'>;
}

const server: Actor = { id: 'retention', via: 'server' };

/**
 * What the server lets go of: personal values of somebody who has a right to that, and what is older than a rule of the
 * organization. The chains stay as they are: what lacks is told by the database, and in the audit journal.
 */
export class LettingGo {
  readonly #parts: LettingGoParts;

  constructor(parts: LettingGoParts) {
    this.#parts = parts;
  }

  async rule(): Promise<RetentionRule> {
    const rows = await this.#parts.db.selectFrom('retention').selectAll().execute();
    return Object.fromEntries(rows.map(({ what, days }) => [what, days]));
  }

  async setRule(rule: RetentionRule, actor: Actor): Promise<void> {
    const { db, ledger } = this.#parts;
    const rows = (['entries', 'personal'] as const).flatMap((what) =>
      rule[what] === undefined ? [] : [{ what, days: rule[what] }],
    );
    // recorded first, since it is another database
    await ledger.change(actor, ({ audit }) => audit({ action: 'journal-retention-set', body: { ...rule } }));
    await db.transaction().execute(async (change) => {
      await change.deleteFrom('retention').execute();
      if (rows.length > 0) await change.insertInto('retention').values(rows).execute();
    });
  }

  /**
   * Erases all personal values of entries with one of these user numbers, and what groups of terminals know of the holder,
   * for good: from here alone, not from terminals. `name`: whose they are, for the record of it.
   */
  async erase(
    person: { readonly userNumbers: readonly string[]; readonly holderId?: string; readonly name: string },
    actor: Actor,
  ): Promise<ErasedPersonal> {
    const { userNumbers, holderId, name: holder } = person;
    const { ledger } = this.#parts;
    const personal = { holder };
    await ledger.change(actor, ({ audit }) => audit({ action: 'journal-erasure-ordered', personal }));
    const total = { entries: 0, values: 0 };
    while (userNumbers.length > 0) {
      const { entries, values, done } = await this.#eraseSome(userNumbers.map(valueText));
      total.entries += entries;
      total.values += values;
      if (done) break;
    }
    await ledger.change(actor, async ({ db, audit }) => {
      const groupFacts = holderId === undefined ? 0 : await forgetInGroups(db, holderId);
      await audit({ action: 'journal-erasure-done', body: { ...total, groupFacts }, personal });
    });
    return total;
  }

  /** Lets go of what the rule says is over, a little at a time: others have their turn between two steps. */
  async *letGo(): AsyncGenerator<ErasedPersonal> {
    const rule = await this.rule();
    const now = this.#parts.clock.utcMs();
    for (const chain of rule.entries === undefined && rule.personal === undefined
      ? []
      : await this.#chains()) {
      if (rule.entries !== undefined) yield* this.#forgetOld(chain, now - rule.entries * dayMs);
      if (rule.personal !== undefined) yield* this.#eraseOld(chain, now - rule.personal * dayMs);
    }
  }

  async #eraseSome(values: readonly string[]): Promise<ErasedPersonal & { readonly done: boolean }> {
    const { db, clock } = this.#parts;
    return db.transaction().execute(async (change) => {
      const found = await change
        .selectFrom('personal')
        .select(['chain', 'sequence'])
        .where('field', '=', 'userNumber')
        .where('value', 'in', [...values])
        .limit(atOnce)
        .execute();
      let erased = 0;
      for (const [chain, own] of Map.groupBy(found, (row) => row.chain)) {
        const ranges = merged(own.map(({ sequence }) => [sequence, sequence]));
        erased += await erasePersonal(change, chain, ranges);
        await recordErasures(change, chain, ranges, clock.utcMs());
      }
      return { entries: found.length, values: erased, done: found.length < atOnce };
    });
  }

  /** The first entries that were received before `beforeMs`, but never the last of all. */
  async *#forgetOld(
    { chain, sequence, terminal, incarnation }: KeptChain,
    beforeMs: number,
  ): AsyncGenerator<ErasedPersonal> {
    const { db, ledger } = this.#parts;
    const first = await firstOf(db, 'entries', chain);
    if (first === undefined) return;
    const through = await this.#lastBefore(chain, beforeMs, [first, sequence - 1]);
    if (through < first) return;
    const end = await this.#lastUpTo(chain, through);
    if (!end) return;
    // recorded before it happens, since it is another database
    const body = { terminal, incarnation, through, hash: toHex(end.hash) };
    await ledger.change(server, ({ audit }) => audit({ action: 'journal-forgotten', body }));
    for (let next: number | undefined = first; next !== undefined && next <= through; ) {
      const last = await this.#lastUpTo(chain, Math.min(through, next + atOnce - 1));
      // another process has been quicker
      if (!last) return;
      yield await this.#forget(chain, last);
      next = await firstOf(db, 'entries', chain);
    }
  }

  async #forget(
    chain: number,
    { sequence, hash }: { readonly sequence: number; readonly hash: Uint8Array },
  ): Promise<ErasedPersonal> {
    const { db, clock } = this.#parts;
    return db.transaction().execute(async (change) => {
      const kept = { sequence, hash, forgotten_at_ms: clock.utcMs() };
      await change
        .insertInto('forgotten')
        .values({ chain, ...kept })
        .onConflict((at) => at.column('chain').doUpdateSet(kept))
        .execute();
      const deleted = new Map<string, number>();
      for (const table of ['entries', 'personal', 'checkpoints', 'evidence'] as const) {
        const { numDeletedRows } = await change
          .deleteFrom(table)
          .where('chain', '=', chain)
          .where('sequence', '<=', sequence)
          .executeTakeFirst();
        deleted.set(table, Number(numDeletedRows));
      }
      await change
        .deleteFrom('erasures')
        .where('chain', '=', chain)
        .where('to_sequence', '<=', sequence)
        .execute();
      return { entries: deleted.get('entries') ?? 0, values: deleted.get('personal') ?? 0 };
    });
  }

  /** Personal values of the first entries that were received before `beforeMs`. */
  async *#eraseOld({ chain, sequence }: KeptChain, beforeMs: number): AsyncGenerator<ErasedPersonal> {
    const { db, clock } = this.#parts;
    const first = await firstOf(db, 'personal', chain);
    if (first === undefined) return;
    const last = await this.#lastBefore(chain, beforeMs, [first, sequence]);
    for (let to = first - 1; to < last; ) {
      const from = to + 1;
      to = Math.min(last, to + atOnce);
      const values = await db.transaction().execute(async (change) => {
        // one row tells of all
        await change
          .deleteFrom('erasures')
          .where('chain', '=', chain)
          .where('from_sequence', '=', 1)
          .where('to_sequence', '<', to)
          .execute();
        const erased = await erasePersonal(change, chain, [[from, to]]);
        await recordErasures(change, chain, [[1, to]], clock.utcMs());
        return erased;
      });
      yield { entries: to - from + 1, values };
    }
  }

  /**
   * The last entry from `from` to `to` that was received before `beforeMs`; what is before `from` where there is none.
   * They are stored in the order in which they are received.
   */
  async #lastBefore(chain: number, beforeMs: number, [from, to]: SequenceRange): Promise<number> {
    let [old, later] = [from - 1, to + 1];
    while (later - old > 1) {
      const middle = Math.floor((old + later) / 2);
      const row = await this.#parts.db
        .selectFrom('entries')
        .select(['sequence', 'received_at_ms'])
        .where('chain', '=', chain)
        .where('sequence', '>=', middle)
        .where('sequence', '<', later)
        .orderBy('sequence')
        .limit(1)
        .executeTakeFirst();
      if (row && row.received_at_ms < beforeMs) old = row.sequence;
      else later = middle;
    }
    return old;
  }

  /** The last entry that there is up to `sequence`. */
  #lastUpTo(chain: number, sequence: number) {
    return this.#parts.db
      .selectFrom('entries')
      .select(['sequence', 'hash'])
      .where('chain', '=', chain)
      .where('sequence', '<=', sequence)
      .orderBy('sequence', 'desc')
      .limit(1)
      .executeTakeFirst();
  }

  #chains(): Promise<readonly KeptChain[]> {
    return this.#parts.db
      .selectFrom('chains')
      .select(['chain', 'sequence', 'terminal', 'incarnation'])
      .orderBy('chain')
      .execute();
  }
}

function firstOf(
  db: JournalDatabase,
  table: 'entries' | 'personal',
  chain: number,
): Promise<number | undefined> {
  return db
    .selectFrom(table)
    .select('sequence')
    .where('chain', '=', chain)
    .orderBy('sequence')
    .limit(1)
    .executeTakeFirst()
    .then((row) => row?.sequence);
}

async function recordErasures(
  change: Transaction<JournalTables>,
  chain: number,
  ranges: readonly SequenceRange[],
  erased_at_ms: number,
): Promise<void> {
  if (ranges.length === 0) return;
  await change
    .insertInto('erasures')
    .values(
      ranges.map(([from_sequence, to_sequence]) => ({ chain, from_sequence, to_sequence, erased_at_ms })),
    )
    .onConflict((at) => at.doNothing())
    .execute();
}

/** Resolves to how many facts of the holder terminals that count together had told. */
async function forgetInGroups(db: Kysely<PermissionsTables>, holderId: string): Promise<number> {
  await db.deleteFrom('group_conflicts').where('holder_id', '=', holderId).execute();
  const facts = await db.deleteFrom('group_facts').where('holder_id', '=', holderId).executeTakeFirst();
  return Number(facts.numDeletedRows);
}
