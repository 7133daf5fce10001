import type { Kysely, Transaction } from 'kysely';
import { toHex } from '#core/bytes/bytes.ts';
import { chainEntry, saltLength } from '#core/journal/entry.ts';
import type { JournalHead, JsonValue } from '#core/journal/record.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { CommonTables } from './common-tables.ts';

/** `terminal` of every entry of an audit journal. */
export const auditTerminal = 'issuance';

const answersKeptMs = 86_400_000;

/** Who does something, and by which way. */
export interface Actor {
  readonly id: string;
  readonly via: 'session' | 'api-token' | 'command-line' | 'server';
  /** a request that takes effect once, however often it comes: the key it names, and a hash of what it asks for */
  readonly once?: { readonly key: string; readonly hash: string };
}

/** The key was used for another request before. */
export interface KeyReused {
  readonly kind: 'key-reused';
}

/** What an entry of the audit journal says. No user number, name or secret stands in `body`. */
export interface AuditRecord {
  readonly action: string;
  readonly body?: { readonly [key: string]: JsonValue };
  /** such as `holder`: enters the chain as a salted hash, with the value beside it */
  readonly personal?: { readonly [field: string]: string };
}

/** A change under way: everything in it takes effect with its entries in the audit journal, or nothing does. */
export interface Change<T extends CommonTables> {
  readonly db: Transaction<T>;
  readonly atMs: number;
  /** of this change: greater than that of any change before it */
  readonly changeNumber: number;
  audit(record: AuditRecord): Promise<void>;
  /** Ends the change as if it had never begun; `change` then resolves to `outcome`. */
  abandon(outcome: unknown): never;
}

class Abandoned {
  readonly outcome: unknown;

  constructor(outcome: unknown) {
    this.outcome = outcome;
  }
}

/** The database of one organization, or of the platform, with the rule that nothing changes without a record of it. */
export class Ledger<T extends CommonTables> {
  readonly db: Kysely<T>;
  readonly #clock: Clock;
  readonly #entropy: Entropy;
  readonly #changed: () => void;

  /** `changed`: told after each change that took effect */
  constructor(parts: {
    readonly db: Kysely<T>;
    readonly clock: Clock;
    readonly entropy: Entropy;
    readonly changed?: () => void;
  }) {
    this.db = parts.db;
    this.#clock = parts.clock;
    this.#entropy = parts.entropy;
    this.#changed = parts.changed ?? (() => undefined);
  }

  /**
   * Runs `action` as one transaction. It waits for the database alone, and not long: until it ends nobody else
   * changes anything. An action that ends without a word to the audit journal is a bug.
   */
  async change<R>(actor: Actor, action: (change: Change<T>) => Promise<R>): Promise<R> {
    try {
      const result = await this.#change(actor, action);
      this.#changed();
      return result;
    } catch (error) {
      if (error instanceof Abandoned) return error.outcome as R;
      throw error;
    }
  }

  #change<R>(actor: Actor, action: (change: Change<T>) => Promise<R>): Promise<R> {
    return this.db.transaction().execute(async (transaction) => {
      const common = transaction as unknown as Transaction<CommonTables>;
      const state = await common
        .updateTable('server_state')
        .set((row) => ({ change_number: row('change_number', '+', 1) }))
        .returningAll()
        .executeTakeFirstOrThrow();
      const chain = new AuditChain({
        db: common,
        actor,
        clock: this.#clock,
        entropy: this.#entropy,
        head: {
          terminal: auditTerminal,
          incarnation: state.audit_incarnation || toHex(this.#entropy.bytes(16)),
          sequence: state.audit_sequence,
          hash: state.audit_hash,
        },
      });
      const answered = actor.once && (await answerTo(common, actor.id, actor.once));
      if (answered) throw new Abandoned(answered);
      const result = await action({
        db: transaction,
        atMs: this.#clock.utcMs(),
        changeNumber: state.change_number,
        audit: (record) => chain.append(record),
        abandon: (outcome) => {
          throw new Abandoned(outcome);
        },
      });
      if (chain.head.sequence === state.audit_sequence) throw new Error('a change without an audit entry');
      if (actor.once) await keepAnswer(common, actor.id, actor.once, { result, atMs: this.#clock.utcMs() });
      await common
        .updateTable('server_state')
        .set({
          audit_incarnation: chain.head.incarnation,
          audit_sequence: chain.head.sequence,
          audit_hash: chain.head.hash,
        })
        .execute();
      return result;
    });
  }
}

type Once = NonNullable<Actor['once']>;

async function answerTo(db: Kysely<CommonTables>, principal: string, { key, hash }: Once): Promise<unknown> {
  const row = await db
    .selectFrom('requests')
    .selectAll()
    .where('principal', '=', principal)
    .where('key', '=', key)
    .executeTakeFirst();
  if (!row) return undefined;
  return row.request_hash === hash ? JSON.parse(row.answer) : ({ kind: 'key-reused' } satisfies KeyReused);
}

async function keepAnswer(
  db: Kysely<CommonTables>,
  principal: string,
  { key, hash }: Once,
  { result, atMs }: { readonly result: unknown; readonly atMs: number },
): Promise<void> {
  await db
    .deleteFrom('requests')
    .where('made_at_ms', '<', atMs - answersKeptMs)
    .execute();
  await db
    .insertInto('requests')
    .values({ principal, key, request_hash: hash, answer: JSON.stringify(result), made_at_ms: atMs })
    .execute();
}

class AuditChain {
  head: JournalHead;
  readonly #db: Transaction<CommonTables>;
  readonly #actor: Actor;
  readonly #clock: Clock;
  readonly #entropy: Entropy;

  constructor(parts: {
    readonly db: Transaction<CommonTables>;
    readonly actor: Actor;
    readonly clock: Clock;
    readonly entropy: Entropy;
    readonly head: JournalHead;
  }) {
    this.#db = parts.db;
    this.#actor = parts.actor;
    this.#clock = parts.clock;
    this.#entropy = parts.entropy;
    this.head = parts.head;
  }

  async append({ action, body, personal }: AuditRecord): Promise<void> {
    const clock = this.#clock;
    const position = { ...this.head, sequence: this.head.sequence + 1 };
    const entry = chainEntry(
      {
        kind: 'administration',
        atMs: clock.utcMs(),
        monotonicUs: clock.monotonicUs(),
        bootId: clock.bootId(),
        clock: clock.trusted() ? 'trusted' : 'untrusted',
        body: { action, by: this.#actor.id, via: this.#actor.via, ...body },
        ...(personal && { personal }),
      },
      position,
      this.head.hash,
      () => this.#entropy.bytes(saltLength),
    );
    const { sequence } = position;
    await this.#db.insertInto('audit').values({ sequence, raw: entry.raw, hash: entry.hash }).execute();
    if (entry.personal.length > 0) {
      await this.#db
        .insertInto('audit_personal')
        .values(entry.personal.map((value) => ({ sequence, ...value })))
        .execute();
    }
    this.head = { ...position, hash: toHex(entry.hash) };
  }
}
