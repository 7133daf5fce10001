import { setTimeout as pass } from 'node:timers/promises';
import { Fault } from '#core/fault.ts';
import type { CommandAction, CommandResult } from '#core/sync/command.ts';
import { presentInOrder, rollCallOf } from '#core/sync/roll-call.ts';
import { commandKindText, commandOutcomeText } from '#core/texts/commands.ts';
import type { Language, Text } from '#core/texts/language.ts';
import type { CommandOrder, OrderedCommand, OrderOutcome } from '#issuance/commands/command-orders.ts';
import type { OrganizationServices } from '#issuance/services.ts';
import type { CommandState } from '#issuance/storage/command-tables.ts';
import type { KeyReused } from '#issuance/storage/ledger.ts';
import {
  commandPrincipal,
  type OrganizationOptions,
  withOrganizationServices,
} from './organization-services.ts';
import { createOutput } from './output.ts';

interface GiveOptions extends OrganizationOptions {
  readonly reason: string;
  readonly terminal?: readonly string[];
  readonly site?: readonly string[];
  readonly all?: boolean;
  /** seconds */
  readonly valid: number;
  readonly wait: number;
}

const lookEveryMs = 200;
/** exit code where a terminal was asked and did not do it, or has not answered yet */
const notDoneCode = 2;
/** of several terminals, those that have no such zone are not concerned */
const notConcerned = 'unknown-zone';

const standing: { readonly [state in Exclude<CommandState, 'answered'>]: Text } = {
  waiting: { ja: 'まだ応答がない', en: 'No answer yet' },
  superseded: { ja: '後の指示が有効', en: 'What was given later counts' },
  unanswered: { ja: '応答がなかった', en: 'Was never answered' },
};

type Orders = Pick<OrganizationServices['commands'], 'give' | 'find'>;

/** Gives a command through the server and prints what terminals answer in time. */
export async function giveThroughServer(
  action: CommandAction,
  options: GiveOptions,
  text?: (result: CommandResult, language: Language) => string,
): Promise<void> {
  const { reason, terminal: terminals, site: sites, all, valid, wait } = options;
  if (!terminals && !sites && !all)
    throw new Fault('argument-invalid', 'say which terminals: --terminal ID, --site ID or --all');
  await withOrganizationServices(options, async ({ commands }) => {
    const request = { action, reason, to: { terminals, sites, all }, validMs: valid * 1_000 };
    const id = givenOf(await commands.give(request, commandPrincipal()), options);
    const first = await answered(commands, id, wait * 1_000);
    const order =
      action.kind === 'roll-call' ? await wholeRollCall(first, { commands, request, options }) : first;
    tell(order, options, text);
    const done = order.terminals.filter(({ outcome }) => outcome === 'done');
    const concerned = order.terminals.filter(({ outcome }) => outcome !== notConcerned);
    if (done.length === 0 || done.length < concerned.length) process.exitCode = notDoneCode;
  });
}

/** Asks each terminal for the rest of what did not fit one message, page by page. */
export async function wholeRollCall(
  first: CommandOrder,
  {
    commands,
    request,
    options,
  }: {
    readonly commands: Orders;
    readonly request: Parameters<Orders['give']>[0];
    readonly options: Pick<GiveOptions, 'organization' | 'wait'>;
  },
): Promise<CommandOrder> {
  const terminals = await Promise.all(
    first.terminals.map(async (one): Promise<OrderedCommand> => {
      let { result } = one;
      while (result?.next !== undefined) {
        const action = { ...request.action, after: result.next } as CommandAction;
        const to = { terminals: [one.terminal] };
        const id = givenOf(await commands.give({ ...request, action, to }, commandPrincipal()), options);
        const page = (await answered(commands, id, options.wait * 1_000)).terminals[0]?.result;
        // what there is is told, and that something is missing
        if (page?.outcome !== 'done') break;
        const { omitted: _, next: __, ...whole } = result;
        const present = [...presentInOrder(result.rollCall ?? []), ...presentInOrder(page.rollCall ?? [])];
        const { omitted, next } = page;
        result = {
          ...whole,
          rollCall: rollCallOf(present),
          ...(omitted !== undefined && { omitted }),
          ...(next !== undefined && { next }),
        };
      }
      return result ? { ...one, result } : one;
    }),
  );
  return { ...first, terminals };
}

export async function listOrders(options: OrganizationOptions & { readonly limit: number }): Promise<void> {
  await withOrganizationServices(options, async ({ commands }) => {
    const orders = await commands.page('', options.limit);
    const lines = orders.map(({ id, action, issuedBy, reason, madeAtMs, terminals }) => {
      const open = terminals.filter(({ state }) => state === 'waiting').length;
      const kind = commandKindText(action.kind, options.language);
      return [
        id,
        new Date(madeAtMs).toISOString(),
        kind,
        `${terminals.length - open}/${terminals.length}`,
        issuedBy,
        reason,
      ].join('\t');
    });
    createOutput(options.json === true).result({ orders }, lines.join('\n'));
  });
}

export async function showOrder(id: string, options: OrganizationOptions): Promise<void> {
  await withOrganizationServices(options, async ({ commands }) => {
    const order = await commands.find(id);
    if (!order) throw new Fault('argument-invalid', `${options.organization} has no such command`);
    tell(order, options, ({ rollCall, diagnostics }) =>
      JSON.stringify(rollCall ?? diagnostics ?? {}, null, 2),
    );
  });
}

async function answered(commands: Orders, id: string, waitMs: number): Promise<CommandOrder> {
  const untilMs = Date.now() + waitMs;
  for (;;) {
    const order = await commands.find(id);
    if (!order) throw new Fault('argument-invalid', 'the command is gone');
    const open = order.terminals.some(({ state }) => state === 'waiting');
    if (!open || Date.now() >= untilMs) return order;
    await pass(lookEveryMs);
  }
}

function givenOf(
  outcome: OrderOutcome | KeyReused,
  { organization }: Pick<OrganizationOptions, 'organization'>,
): string {
  switch (outcome.kind) {
    case 'given':
      return outcome.id;
    case 'no-command-key':
      throw new Fault('key-unavailable', `no key on this server may sign commands of ${organization}`);
    case 'invalid':
      throw new Fault('argument-invalid', outcome.problems.map(({ text }) => text).join('; '));
    default:
      throw new Fault('argument-invalid', `${organization} has no such terminal or site`);
  }
}

function tell(
  order: CommandOrder,
  { language, json }: OrganizationOptions,
  text?: (result: CommandResult, language: Language) => string,
): void {
  const line = (one: OrderedCommand): string => {
    const said = one.outcome
      ? commandOutcomeText(one.outcome, language)
      : one.state === 'answered'
        ? ''
        : standing[one.state][language];
    const known = one.result?.known ?? [];
    const more = one.outcome === 'done' && one.result && text ? text(one.result, language) : undefined;
    const names = known.length > 0 ? ` (${known.join(', ')})` : '';
    return [`${one.terminal}: ${said}${names}`, ...(more === undefined ? [] : [more])].join('\n');
  };
  createOutput(json === true).result(
    order,
    [`${order.id} ${commandKindText(order.action.kind, language)}`, ...order.terminals.map(line)].join('\n'),
  );
}
