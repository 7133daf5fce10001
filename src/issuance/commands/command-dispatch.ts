import type { Kysely } from 'kysely';
import type { Logger } from 'pino';
import type { CommandOutcome, CommandResult } from '#core/sync/command.ts';
import { readCommandResult } from '#core/sync/command-message.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { Intake } from '#ports/intake.ts';
import type { Ledger } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import type { CommandKeys } from './command-signing.ts';
import { ConditionRenewal } from './condition-renewal.ts';

export interface CommandDispatchParts {
  readonly organization: string;
  readonly ledger: Ledger<PermissionsTables>;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly publish: Intake['publish'];
  readonly keys: () => Promise<CommandKeys | undefined>;
  readonly log: Pick<Logger, 'info' | 'warn'>;
}

/** A command that waits for its result. */
type Waiting = Pick<
  PermissionsTables['commands'],
  'order_id' | 'terminal_id' | 'command_id' | 'expires_at_ms'
> & { readonly condition: string };

type Result = { readonly terminal: string; readonly result: CommandResult };

/** how soon a command without a result is sent again, in milliseconds; twice as late each time, up to the last */
const firstAgainMs = 2_000;
const lastAgainMs = 60_000;
/** terminals that are sent what they wait for at once, after which it is looked whether something newer was given */
const terminalsAtOnce = 64;
/** a terminal remembers a command until a day after its end, and can be asked that long what came of it */
const rememberedMs = 86_400_000;
/** what was asked and answered is kept this long; the audit journal and those of the terminals have it longer */
const keptMs = 90 * 86_400_000;
const cleanEveryMs = 3_600_000;
/** a condition that a terminal could not take for its clock, or not in time, is signed anew; for clocks not so soon */
const againFor: readonly (CommandOutcome | undefined)[] = ['expired', 'time-unknown'];
const renewEveryMs = 300_000;

/** Sends the terminals of one organization their commands until each has said what came of it. */
export class CommandDispatch {
  readonly #parts: CommandDispatchParts;
  /** by the id: when it is sent next, and how long after that again */
  readonly #due = new Map<string, { atMs: number; everyMs: number }>();
  readonly #renewal: ConditionRenewal;
  /** terminals of which that was said */
  readonly #clocksDiffer = new Set<string>();
  #isOutdated = false;
  #cleanedAtMs = 0;

  constructor(parts: CommandDispatchParts) {
    this.#parts = parts;
    this.#renewal = new ConditionRenewal(parts);
  }

  /** The broker may have forgotten what it was given. */
  connected(): void {
    this.#due.clear();
  }

  /**
   * A terminal is there: it is told what it was not told, or could not take, while it was away, and of `incarnation`, where
   * it says so, what another device was told before it.
   */
  async heard(terminal: string, incarnation?: string): Promise<void> {
    if (incarnation !== undefined) await this.#renewal.followDevice(terminal, incarnation);
    const waiting = await this.#waiting(terminal);
    const nowMs = this.#parts.clock.utcMs();
    for (const one of waiting) {
      if (one.condition !== '' && nowMs >= one.expires_at_ms + rememberedMs) await this.#renewal.renew(one);
      else this.#due.delete(one.command_id);
    }
    await this.#renewal.tellConditions(terminal);
  }

  /** Something was given, or is over: what goes on goes by it. */
  changed(): void {
    this.#isOutdated = true;
  }

  /** Sends what is due. To be called again and again, and once {@link changed}; one after another. Rejects with database faults. */
  async round(): Promise<void> {
    this.#isOutdated = false;
    const nowMs = this.#parts.clock.utcMs();
    const due = await this.#dueAt(nowMs);
    for (let at = 0; at < due.length; at += terminalsAtOnce) {
      const some = due.slice(at, at + terminalsAtOnce);
      const taken = await Promise.all(some.map((own) => this.#sendAll(own)));
      if (taken.includes(false) || this.#isOutdated) return;
    }
    await this.#clean(nowMs);
  }

  /** By terminal, in the order they were given; first whose newest was never sent, the newest before all. */
  async #dueAt(nowMs: number): Promise<readonly (readonly Waiting[])[]> {
    const waiting = await this.#waiting();
    const known = new Set(waiting.map(({ command_id }) => command_id));
    for (const id of this.#due.keys()) if (!known.has(id)) this.#due.delete(id);
    const due: Waiting[] = [];
    for (const one of waiting) {
      if (one.condition === '' && nowMs >= one.expires_at_ms + rememberedMs) await this.#end(one);
      else if (nowMs >= (this.#due.get(one.command_id)?.atMs ?? 0)) due.push(one);
    }
    const newest = (own: readonly Waiting[]) =>
      own.findLast(({ command_id }) => !this.#due.has(command_id))?.order_id ?? '';
    return [...Map.groupBy(due, ({ terminal_id }) => terminal_id).values()]
      .map((own) => ({ own, newest: newest(own) }))
      .sort((one, other) => (one.newest === other.newest ? 0 : one.newest < other.newest ? 1 : -1))
      .map(({ own }) => own);
  }

  /** Sends one terminal what it waits for, one after another. Whether the broker took it. */
  async #sendAll(own: readonly Waiting[]): Promise<boolean> {
    for (const one of own) {
      const before = this.#due.get(one.command_id);
      const everyMs = before ? Math.min(2 * before.everyMs, lastAgainMs) : firstAgainMs;
      if (!(await this.#send(one))) return false;
      this.#due.set(one.command_id, { atMs: this.#parts.clock.utcMs() + everyMs, everyMs });
    }
    return true;
  }

  /** Takes what terminals answered. Rejects with database faults. */
  async take(results: readonly { readonly terminal: string; readonly payload: Uint8Array }[]): Promise<void> {
    const { organization, log } = this.#parts;
    for (const { terminal, payload } of results) {
      const result = readCommandResult(payload);
      if (result) await this.#answered({ terminal, result });
      else log.warn({ organization, terminal }, 'a result that is none');
    }
  }

  async #answered({ terminal, result }: Result): Promise<void> {
    const { ledger, clock, organization, log } = this.#parts;
    const row = await this.#pending(ledger.db)
      .where('commands.command_id', '=', result.id)
      .where('terminal_id', '=', terminal)
      .where('commands.state', 'in', ['waiting', 'superseded', 'unanswered'])
      .executeTakeFirst();
    if (!row) return;
    const nowMs = clock.utcMs();
    // it came of the command when it came first; without that nobody knows
    const outcome = result.outcome === 'replayed' ? (result.first ?? 'replayed') : result.outcome;
    if (row.condition !== '' && row.state === 'waiting' && againFor.includes(outcome)) {
      const isLate = outcome === 'expired' && nowMs >= row.expires_at_ms;
      if (!isLate) this.#differs(terminal);
      // a clock that is wrong, there or here, stays so for a while
      if (!isLate && nowMs < row.issued_at_ms + renewEveryMs) return;
      await this.#renewal.renew(row);
      return;
    }
    await ledger.db
      .updateTable('commands')
      .set({ state: 'answered', outcome, result: JSON.stringify(result), answered_at_ms: nowMs })
      .where('order_id', '=', row.order_id)
      .where('terminal_id', '=', terminal)
      .where('command_id', '=', result.id)
      .execute();
    this.#due.delete(result.id);
    log.info({ organization, terminal, order: row.order_id, outcome }, 'a command was answered');
  }

  /** Says once of each terminal that it does not take for the present what this server does. */
  #differs(terminal: string): void {
    const { organization, log } = this.#parts;
    if (this.#clocksDiffer.has(terminal)) return;
    this.#clocksDiffer.add(terminal);
    log.warn(
      { organization, terminal },
      'a condition was not taken for the clock of the terminal, or that of this server',
    );
  }

  #pending(db: Kysely<PermissionsTables>) {
    return db
      .selectFrom('commands')
      .innerJoin('command_orders', 'command_orders.order_id', 'commands.order_id')
      .select([
        'commands.order_id',
        'commands.terminal_id',
        'commands.command_id',
        'commands.issued_at_ms',
        'commands.expires_at_ms',
        'commands.state',
        'command_orders.condition',
      ]);
  }

  /** In the order they were given: what ends a condition follows what declared it. */
  #waiting(terminal?: string): Promise<readonly Waiting[]> {
    let query = this.#pending(this.#parts.ledger.db).where('commands.state', '=', 'waiting');
    if (terminal !== undefined) query = query.where('terminal_id', '=', terminal);
    return query.orderBy('commands.order_id').orderBy('commands.terminal_id').execute();
  }

  /** Whether the broker took it. */
  async #send({ order_id, terminal_id: terminal }: Waiting): Promise<boolean> {
    const { ledger, organization, publish } = this.#parts;
    const row = await ledger.db
      .selectFrom('commands')
      .select('document')
      .where('order_id', '=', order_id)
      .where('terminal_id', '=', terminal)
      .where('state', '=', 'waiting')
      .executeTakeFirst();
    if (!row) return true;
    const to = { organization, terminal };
    return (await publish({ to, kind: 'command', payload: new Uint8Array(row.document) })) === 'taken';
  }

  /** Nobody will tell any more what came of it. */
  async #end({ order_id, terminal_id }: Waiting): Promise<void> {
    await this.#parts.ledger.db
      .updateTable('commands')
      .set({ state: 'unanswered' })
      .where('order_id', '=', order_id)
      .where('terminal_id', '=', terminal_id)
      .where('state', '=', 'waiting')
      .execute();
  }

  /** Forgets what is long over, and waits no more for terminals that were shut out. */
  async #clean(nowMs: number): Promise<void> {
    if (nowMs < this.#cleanedAtMs + cleanEveryMs) return;
    this.#cleanedAtMs = nowMs;
    await this.#parts.ledger.db.transaction().execute(async (db) => {
      await db
        .updateTable('commands')
        .set({ state: 'unanswered' })
        .where('state', '=', 'waiting')
        .where('expires_at_ms', '<=', nowMs)
        .where('terminal_id', 'not in', (of) =>
          of
            .selectFrom('certificates')
            .select('terminal_id')
            .where('revoked_at_ms', 'is', null)
            .where('not_after_ms', '>', nowMs),
        )
        .execute();
      const over = db
        .selectFrom('command_orders')
        .select('order_id')
        .where('condition', '=', '')
        .where('made_at_ms', '<', nowMs - keptMs);
      await db.deleteFrom('commands').where('order_id', 'in', over).execute();
      await db
        .deleteFrom('command_orders')
        .where('condition', '=', '')
        .where('made_at_ms', '<', nowMs - keptMs)
        .execute();
    });
  }
}
