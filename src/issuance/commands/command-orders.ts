import type { Kysely } from 'kysely';
import { Fault } from '#core/fault.ts';
import type { JsonValue } from '#core/journal/record.ts';
import {
  type CommandAction,
  type CommandOutcome,
  type CommandResult,
  commandSchema,
  longestValidityMs,
} from '#core/sync/command.ts';
import { conditionOf, isSiteAction } from '#core/sync/site-command.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { Principal } from '../administrators/principals.ts';
import type { CommandState } from '../storage/command-tables.ts';
import type { Actor, KeyReused, Ledger } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import { type CommandContent, type CommandKeys, type SignedCommand, signCommand } from './command-signing.ts';
import { type CommandTargets, type TargetRefusal, terminalsMeant } from './command-targets.ts';
import { takesPlaceOf } from './conditions.ts';

export interface CommandRequest {
  readonly action: CommandAction;
  readonly reason: string;
  readonly to: CommandTargets;
  /** how long a terminal may take it, in milliseconds; a minute where absent */
  readonly validMs?: number | undefined;
}

/** What was given to do, and where it stands at each terminal. */
export interface CommandOrder {
  readonly id: string;
  readonly action: CommandAction;
  readonly issuedBy: string;
  readonly reason: string;
  readonly madeAtMs: number;
  readonly terminals: readonly OrderedCommand[];
}

export interface OrderedCommand {
  readonly terminal: string;
  readonly id: string;
  readonly expiresAtMs: number;
  readonly state: CommandState;
  readonly outcome?: CommandOutcome;
  readonly answeredAtMs?: number;
  readonly result?: CommandResult;
}

export type OrderOutcome =
  | { readonly kind: 'given'; readonly id: string }
  | TargetRefusal
  | { readonly kind: 'no-command-key' }
  | {
      readonly kind: 'invalid';
      readonly problems: readonly { readonly path: string; readonly text: string }[];
    };

export interface CommandOrdersParts {
  readonly organization: string;
  readonly ledger: Ledger<PermissionsTables>;
  readonly clock: Clock;
  readonly entropy: Entropy;
  /** undefined where no key of the role `command` is here */
  readonly keys: () => Promise<CommandKeys | undefined>;
}

type CommandRow = PermissionsTables['commands'];
type OrderRow = PermissionsTables['command_orders'];

const columns = [
  'order_id',
  'terminal_id',
  'command_id',
  'expires_at_ms',
  'state',
  'outcome',
  'answered_at_ms',
] as const;
type ShownRow = Pick<CommandRow, (typeof columns)[number]> & Partial<Pick<CommandRow, 'result'>>;

const usualValidityMs = 60_000;
/** a terminal believes no command that was given further ahead of its clock, in milliseconds */
const aheadMs = 300_000;
/** a database takes no more values in one statement */
const rowsAtOnce = 500;

/** What the terminals of one organization are told to do. */
export class CommandOrders {
  readonly #parts: CommandOrdersParts;

  constructor(parts: CommandOrdersParts) {
    this.#parts = parts;
  }

  /** Gives a command to one terminal or several; who and why is recorded with it. Rejects with faults of keys. */
  async give(
    { action, reason, to, validMs = usualValidityMs }: CommandRequest,
    principal: Pick<Principal, 'actor' | 'terminals'>,
  ): Promise<OrderOutcome | KeyReused> {
    const { organization, ledger, keys: find, clock, entropy } = this.#parts;
    const keys = await find();
    if (!keys) return { kind: 'no-command-key' };
    const terminals = await terminalsMeant(to, {
      ledger,
      nowMs: clock.utcMs(),
      reached: principal.terminals,
    });
    if (!Array.isArray(terminals)) return terminals;
    const { actor } = principal;
    const content = checked({ action, reason, validMs, issuedBy: actor.id });
    const several = terminals.length > 1 || to.all === true || (to.sites ?? []).length > 0;
    if (several && !mayBeOfSeveral(action)) {
      const text =
        'only conditions of the site, roll calls and diagnostics may be asked of several terminals at once';
      return { kind: 'invalid', problems: [{ path: 'to', text }] };
    }
    const nowMs = await this.#issuedAtMs(action);
    const signed = await Promise.all(
      terminals.map(async (terminal) => ({
        terminal,
        signed: await signCommand(content, { organization, terminal }, { nowMs, keys, entropy }),
      })),
    );
    const order: Omit<OrderRow, 'order_id'> = {
      action: JSON.stringify(content.action),
      condition: isSiteAction(action) ? conditionOf(action) : '',
      everywhere: to.all && !principal.terminals ? 1 : 0,
      issued_by: actor.id,
      reason: content.reason,
      valid_ms: validMs,
      made_at_ms: nowMs,
    };
    return this.#record(ledger, order, signed, actor);
  }

  /** Conditions follow one another also where the clock was put back a little: terminals go by when they were given. */
  async #issuedAtMs(action: CommandAction): Promise<number> {
    const { ledger, clock } = this.#parts;
    const nowMs = clock.utcMs();
    if (!isSiteAction(action)) return nowMs;
    const { last } = await ledger.db
      .selectFrom('commands')
      .innerJoin('command_orders', 'command_orders.order_id', 'commands.order_id')
      .select((of) => of.fn.max('commands.issued_at_ms').as('last'))
      .where('condition', '=', conditionOf(action))
      .executeTakeFirstOrThrow();
    return last !== null && last > nowMs && last - nowMs < aheadMs ? Number(last) : nowMs;
  }

  #record(
    ledger: Ledger<PermissionsTables>,
    row: Omit<OrderRow, 'order_id'>,
    signed: readonly { readonly terminal: string; readonly signed: SignedCommand }[],
    actor: Actor,
  ): Promise<OrderOutcome | KeyReused> {
    const { action } = orderOf(row);
    return ledger.change<OrderOutcome | KeyReused>(actor, async ({ db, changeNumber, audit }) => {
      const order = { ...row, order_id: String(changeNumber).padStart(15, '0') };
      const replaced = await this.#replaced(db, row);
      await db.insertInto('command_orders').values(order).execute();
      for (let at = 0; at < signed.length; at += rowsAtOnce) {
        const some = signed.slice(at, at + rowsAtOnce);
        const terminals = some.map(({ terminal }) => terminal);
        for (const order_id of replaced) {
          await db
            .updateTable('commands')
            .set({ state: 'superseded' })
            .where('order_id', '=', order_id)
            .where('state', '=', 'waiting')
            .where('terminal_id', 'in', terminals)
            .execute();
        }
        const rows = some.map(({ terminal, signed }) => newCommand(order.order_id, terminal, signed));
        await db.insertInto('commands').values(rows).execute();
      }
      const { kind, ...told } = action;
      const { holder, ...rest } = 'holder' in told ? told : { ...told, holder: undefined };
      await audit({
        action: 'command-given',
        body: {
          order: order.order_id,
          command: kind,
          ...(JSON.parse(JSON.stringify(rest)) as { [name: string]: JsonValue }),
          terminals: signed.map(({ terminal }) => terminal),
          validMs: order.valid_ms,
        },
        personal: { reason: order.reason, ...(holder !== undefined && { holder }) },
      });
      return { kind: 'given', id: order.order_id };
    });
  }

  /** What some terminal still waits for, and nothing of which counts from this order on. */
  async #replaced(
    db: Kysely<PermissionsTables>,
    order: Omit<OrderRow, 'order_id'>,
  ): Promise<readonly string[]> {
    if (order.condition === '') return [];
    const { action } = orderOf(order);
    const waiting = await db
      .selectFrom('command_orders')
      .selectAll()
      .where('condition', '=', order.condition)
      .where('order_id', 'in', (of) =>
        of.selectFrom('commands').select('order_id').where('state', '=', 'waiting'),
      )
      .execute();
    return waiting
      .filter((earlier) => takesPlaceOf(action, orderOf(earlier).action))
      .map(({ order_id }) => order_id);
  }

  /** Orders before `before`, the last one first, without results; of terminals not `reached` nothing is said. */
  async page(before: string, limit: number, reached?: ReadonlySet<string>): Promise<readonly CommandOrder[]> {
    const { db } = this.#parts.ledger;
    let query = db.selectFrom('command_orders').selectAll().orderBy('order_id', 'desc').limit(limit);
    if (before !== '') query = query.where('order_id', '<', before);
    const own = reached && [...reached];
    if (own) {
      if (own.length === 0) return [];
      query = query.where('order_id', 'in', (of) =>
        of.selectFrom('commands').select('order_id').where('terminal_id', 'in', own),
      );
    }
    const orders = await query.execute();
    if (orders.length === 0) return [];
    const rows = await db
      .selectFrom('commands')
      .select([...columns])
      .where(
        'order_id',
        'in',
        orders.map(({ order_id }) => order_id),
      )
      .orderBy('terminal_id')
      .execute();
    const byOrder = Map.groupBy(rows, ({ order_id }) => order_id);
    return orders.map((order) => shown(order, byOrder.get(order.order_id) ?? [], reached));
  }

  /** undefined where there is none, or none that concerns a terminal that is `reached` */
  async find(id: string, reached?: ReadonlySet<string>): Promise<CommandOrder | undefined> {
    const { db } = this.#parts.ledger;
    const order = await db
      .selectFrom('command_orders')
      .selectAll()
      .where('order_id', '=', id)
      .executeTakeFirst();
    if (!order) return undefined;
    const rows = await db
      .selectFrom('commands')
      .select([...columns, 'result'])
      .where('order_id', '=', id)
      .orderBy('terminal_id')
      .execute();
    const found = shown(order, rows, reached);
    return reached && found.terminals.length === 0 ? undefined : found;
  }
}

export function newCommand(order_id: string, terminal_id: string, signed: SignedCommand): CommandRow {
  return {
    order_id,
    terminal_id,
    ...signed,
    state: 'waiting',
    outcome: null,
    result: null,
    answered_at_ms: null,
  };
}

/** What an order says of its commands. */
export function orderOf({ action, issued_by, reason, valid_ms }: Omit<OrderRow, 'order_id'>): CommandContent {
  return { action: JSON.parse(action) as CommandAction, issuedBy: issued_by, reason, validMs: valid_ms };
}

function mayBeOfSeveral(action: CommandAction): boolean {
  return isSiteAction(action) || action.kind === 'roll-call' || action.kind === 'diagnostics';
}

/** @throws Fault `argument-invalid` for words or names that no command may have, or a time too long */
function checked(content: CommandContent): CommandContent {
  const { validMs, ...said } = content;
  if (!(validMs >= 1_000 && validMs <= longestValidityMs)) {
    throw new Fault('argument-invalid', 'a command is valid for a second at least, and a day at most');
  }
  const any = { format: 1, id: '0'.repeat(32), terminal: 'any', issuedAtMs: 0, expiresAtMs: validMs };
  const parsed = commandSchema.safeParse({ ...any, ...said });
  if (!parsed.success) {
    const [problem] = parsed.error.issues;
    throw new Fault('argument-invalid', `${problem?.path.join('.')}: ${problem?.message}`);
  }
  const { action, issuedBy, reason } = parsed.data;
  return { action, issuedBy, reason, validMs };
}

function shown(order: OrderRow, rows: readonly ShownRow[], reached?: ReadonlySet<string>): CommandOrder {
  const { action, issuedBy, reason } = orderOf(order);
  return {
    ...{ id: order.order_id, action, issuedBy, reason, madeAtMs: order.made_at_ms },
    terminals: rows
      .filter(({ terminal_id }) => !reached || reached.has(terminal_id))
      .map((row) => ({
        terminal: row.terminal_id,
        id: row.command_id,
        expiresAtMs: row.expires_at_ms,
        state: row.state,
        ...(row.outcome !== null && { outcome: row.outcome }),
        ...(row.answered_at_ms !== null && { answeredAtMs: row.answered_at_ms }),
        ...(typeof row.result === 'string' && { result: JSON.parse(row.result) as CommandResult }),
      })),
  };
}
