import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { Actor, Ledger } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import { newCommand, orderOf } from './command-orders.ts';
import { type CommandKeys, signCommand } from './command-signing.ts';
import { standing, tellAnother } from './conditions.ts';

export interface ConditionRenewalParts {
  readonly organization: string;
  readonly ledger: Ledger<PermissionsTables>;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly keys: () => Promise<CommandKeys | undefined>;
}

/** A condition that a terminal did not take in time. */
type Missed = Pick<PermissionsTables['commands'], 'order_id' | 'terminal_id' | 'command_id'> & {
  readonly condition: string;
};

const server: Actor = { id: 'server', via: 'server' };

/** Signs conditions of one organization anew, for terminals that were away or came later. */
export class ConditionRenewal {
  readonly #parts: ConditionRenewalParts;
  /** by terminal: the last condition declared everywhere that it was told of */
  readonly #told = new Map<string, string>();
  /** by terminal: whose journal it has */
  readonly #devices = new Map<string, string>();

  constructor(parts: ConditionRenewalParts) {
    this.#parts = parts;
  }

  /**
   * Signs a condition anew for a terminal that did not take it in time, and with it all that was given of the same
   * since, whether done or not, so that what holds in the end is what was given last. Each counts as of when it was
   * given: what an input has declared at the terminal since is lifted by none of them.
   */
  async renew({ order_id, terminal_id, command_id, condition }: Missed): Promise<void> {
    const { organization, ledger, clock, entropy, keys: find } = this.#parts;
    const keys = await find();
    if (!keys) return;
    const rows = await this.#given(terminal_id, condition, order_id);
    if (rows[0]?.command_id !== command_id) return;
    const nowMs = clock.utcMs();
    let givenMs = -1;
    const signed = await Promise.all(
      rows.map(async (row, at) => {
        // each after the one before it: an end brought out of its order finds what was declared later
        givenMs = Math.max(givenMs + 1, Math.min(row.made_at_ms, nowMs));
        const moment = { nowMs: nowMs + at, givenAtMs: givenMs, keys, entropy };
        return {
          row,
          signed: await signCommand(orderOf(row), { organization, terminal: terminal_id }, moment),
        };
      }),
    );
    await ledger.change(server, async ({ db, audit, abandon }) => {
      for (const { row, signed: values } of signed) {
        const renewed = await db
          .updateTable('commands')
          .set({ ...values, state: 'waiting', outcome: null, result: null, answered_at_ms: null })
          .where('order_id', '=', row.order_id)
          .where('terminal_id', '=', terminal_id)
          .where('command_id', '=', row.command_id)
          .where('state', '<>', 'superseded')
          .executeTakeFirst();
        // somebody else was quicker: it comes up again where it has to
        if (renewed.numUpdatedRows === 0n) return abandon(undefined);
        await audit({ action: 'command-renewed', body: { order: row.order_id, terminal: terminal_id } });
      }
    });
  }

  /** What counts for a terminal of one condition from an order on, in the order it was given. */
  #given(terminal: string, condition: string, from: string) {
    return this.#parts.ledger.db
      .selectFrom('commands')
      .innerJoin('command_orders', 'command_orders.order_id', 'commands.order_id')
      .selectAll('command_orders')
      .select('commands.command_id')
      .where('terminal_id', '=', terminal)
      .where('condition', '=', condition)
      .where('commands.order_id', '>=', from)
      .where('commands.state', '<>', 'superseded')
      .orderBy('commands.order_id')
      .execute();
  }

  /** A terminal whose journal is another one has nothing of what it was told: it is told again. */
  async followDevice(terminal: string, incarnation: string): Promise<void> {
    if (this.#devices.get(terminal) === incarnation) return;
    await this.#parts.ledger.db.transaction().execute((db) => tellAnother({ db }, terminal, incarnation));
    this.#devices.set(terminal, incarnation);
  }

  /** A terminal that was enrolled after a condition was declared everywhere is told of it, too. */
  async tellConditions(terminal: string): Promise<void> {
    const { db } = this.#parts.ledger;
    const everywhere = db
      .selectFrom('command_orders')
      .where('condition', '<>', '')
      .where('everywhere', '=', 1);
    const { last } = await everywhere
      .select((of) => of.fn.max('order_id').as('last'))
      .executeTakeFirstOrThrow();
    if (last === null || this.#told.get(terminal) === last) return;
    const orders = await everywhere.selectAll().orderBy('order_id').execute();
    for (const order of standing(orders)) await this.#tellOf(order, terminal);
    this.#told.set(terminal, last);
  }

  async #tellOf(order: PermissionsTables['command_orders'], terminal: string): Promise<void> {
    const { organization, ledger, clock, entropy, keys: find } = this.#parts;
    const { order_id } = order;
    const known = await ledger.db
      .selectFrom('commands')
      .select('state')
      .where('order_id', '=', order_id)
      .where('terminal_id', '=', terminal)
      .executeTakeFirst();
    const keys = known ? undefined : await find();
    if (!keys) return;
    const nowMs = clock.utcMs();
    const at = { nowMs, givenAtMs: Math.min(order.made_at_ms, nowMs), keys, entropy };
    const signed = await signCommand(orderOf(order), { organization, terminal }, at);
    await ledger.change(server, async ({ db, audit, abandon }) => {
      const made = await db
        .insertInto('commands')
        .values(newCommand(order_id, terminal, signed))
        .onConflict((at) => at.columns(['order_id', 'terminal_id']).doNothing())
        .executeTakeFirst();
      if (made.numInsertedOrUpdatedRows === 0n) return abandon(undefined);
      await audit({ action: 'command-renewed', body: { order: order_id, terminal } });
    });
  }
}
