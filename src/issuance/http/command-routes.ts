import { z } from 'zod';
import { id } from '#core/access/rule-config.ts';
import {
  commandActionSchema,
  commandOutcomes,
  commandResultSchema,
  longestValidityMs,
} from '#core/sync/command.ts';
import type { Principal } from '../administrators/principals.ts';
import type { CommandOrder, OrderOutcome } from '../commands/command-orders.ts';
import type { OrganizationServices } from '../services.ts';
import type { KeyReused } from '../storage/ledger.ts';
import type { Answer, Routes } from './route.ts';
import { afterCursor, cursorQuery, moment, momentOf, paged, pageOf } from './wire.ts';

const tag = 'commands';
const said = {
  action: commandActionSchema.describe('what is to be done, as docs/commands.md describes it'),
  reason: z.string().min(1).max(500).describe('why; it is recorded with who'),
  validSeconds: z
    .int()
    .min(1)
    .max(longestValidityMs / 1_000)
    .optional()
    .describe('how long a terminal may take it; 60 where absent'),
};
const targets = z.strictObject({
  terminals: z.array(id).max(1_000).optional(),
  sites: z.array(id).max(100).optional(),
  all: z.boolean().optional().describe('every terminal that the caller reaches'),
});
const orderAnswer = z.object({
  id: z.string(),
  action: commandActionSchema,
  issuedBy: z.string(),
  reason: z.string(),
  madeAt: moment,
  terminals: z.array(
    z.object({
      terminal: z.string(),
      commandId: z.string(),
      expires: moment,
      state: z.enum(['waiting', 'answered', 'superseded', 'unanswered']),
      outcome: z.enum(commandOutcomes).optional(),
      answered: moment.optional(),
      result: commandResultSchema.optional().describe('what the terminal told, of one order alone'),
    }),
  ),
});

/** What terminals are told to do, and what came of it. */
export function addCommandRoutes(routes: Routes): void {
  const give = { method: 'POST', tag, scope: 'commands:send', idempotent: true, status: 202 } as const;
  routes.add(
    {
      ...give,
      url: '/commands',
      summary: 'Tell terminals to do something: several at once only conditions, roll calls and diagnostics',
      body: z.strictObject({ ...said, to: targets }),
      answer: orderAnswer,
    },
    async ({ services, principal, body: { action, reason, validSeconds, to } }) => {
      const validMs = validSeconds === undefined ? undefined : validSeconds * 1_000;
      const outcome = await services.commands.give({ action, reason, to, validMs }, principal);
      return answerOf(outcome, services, principal);
    },
  );
  routes.add(
    {
      ...give,
      url: '/terminals/:terminal/commands',
      summary: 'Tell one terminal to do something',
      params: z.object({ terminal: z.string().max(64) }),
      body: z.strictObject(said),
      answer: orderAnswer,
    },
    async ({ services, principal, params: { terminal }, body: { action, reason, validSeconds } }) => {
      const validMs = validSeconds === undefined ? undefined : validSeconds * 1_000;
      const to = { terminals: [terminal] };
      const outcome = await services.commands.give({ action, reason, to, validMs }, principal);
      return answerOf(outcome, services, principal);
    },
  );
  addReading(routes);
}

function addReading(routes: Routes): void {
  const read = { method: 'GET', tag, scope: 'terminals:read' } as const;
  routes.add(
    {
      ...read,
      url: '/commands',
      summary: 'What terminals were told to do, the last first',
      query: cursorQuery,
      answer: pageOf(orderAnswer),
    },
    async ({ services, principal, query: { cursor, limit } }) => {
      const found = await services.commands.page(afterCursor(cursor), limit + 1, principal.terminals);
      return { body: paged(found, limit, (order) => order.id, shown) };
    },
  );
  routes.add(
    {
      ...read,
      url: '/commands/:order',
      summary: 'What came of it at each terminal; names of holders only for whoever may read holders',
      params: z.object({ order: z.string().max(64) }),
      answer: orderAnswer,
    },
    async ({ services, principal, params: { order } }) => {
      const found = await services.commands.find(order, principal.terminals);
      return found ? { body: shown(forWhom(found, principal)) } : { refuse: 'not-there' };
    },
  );
}

async function answerOf(
  outcome: OrderOutcome | KeyReused,
  { commands }: OrganizationServices,
  principal: Principal,
): Promise<Answer<z.input<typeof orderAnswer>>> {
  if (outcome.kind === 'given') {
    const order = await commands.find(outcome.id, principal.terminals);
    return order ? { body: shown(order) } : { refuse: 'not-there' };
  }
  if (outcome.kind === 'invalid') return { refuse: 'invalid', problems: outcome.problems };
  return { refuse: outcome.kind };
}

/** Who is where is what only those learn who may look up holders. */
function forWhom(order: CommandOrder, { scopes }: Principal): CommandOrder {
  if (scopes.has('holders:read')) return order;
  const terminals = order.terminals.map(({ result, ...one }) => {
    if (!result) return one;
    const { rollCall: _, next: __, ...told } = result;
    return { ...one, result: told };
  });
  return { ...order, terminals };
}

function shown({ madeAtMs, terminals, ...order }: CommandOrder): z.input<typeof orderAnswer> {
  return {
    ...order,
    madeAt: momentOf(madeAtMs),
    terminals: terminals.map(
      ({ terminal, id: commandId, expiresAtMs, state, outcome, answeredAtMs, result }) => ({
        ...{ terminal, commandId, expires: momentOf(expiresAtMs), state },
        ...(outcome && { outcome }),
        ...(answeredAtMs !== undefined && { answered: momentOf(answeredAtMs) }),
        ...(result && { result }),
      }),
    ),
  };
}
