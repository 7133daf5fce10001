import { z } from 'zod';
import { recordStatuses } from '#core/access/policy.ts';
import type { PlanOutcome } from '../permissions/change-sets.ts';
import type { HolderOutcome } from '../permissions/holders.ts';
import type { KeyReused } from '../storage/ledger.ts';
import { type Answer, nothing, type Routes } from './route.ts';
import {
  afterCursor,
  cardKeySchema,
  cursorQuery,
  holderAnswer,
  holderBody,
  moment,
  paged,
  pageOf,
  shownHolder,
  shownState,
  stateOf,
} from './wire.ts';

const tag = 'holders';
const params = z.object({ holderId: z.string().min(1).max(64) });
const reason = z.string().max(500).default('');
const holder = { tag, params, answer: holderAnswer } as const;
const changeSet = z.string().regex(/^[0-9a-f]{16}$/);

/** Holders with their cards: looked up, changed at once or planned, suspended. */
export function addHolderRoutes(routes: Routes): void {
  addReading(routes);
  addChanging(routes);
  addSuspending(routes);
}

function addReading(routes: Routes): void {
  const list = { method: 'GET', tag, scope: 'holders:read' } as const;
  routes.add(
    {
      ...list,
      url: '/holders',
      summary: 'Holders in the order of their ids',
      query: cursorQuery.extend({ group: z.string().optional(), status: z.enum(recordStatuses).optional() }),
      answer: pageOf(holderAnswer),
    },
    async ({ services, query }) => {
      const { cursor, limit, group, status } = query;
      const filter = { ...(group !== undefined && { group }), ...(status && { status }) };
      const found = await services.holders.page(afterCursor(cursor), limit + 1, filter);
      return { body: paged(found, limit, (one) => one.holderId, shownHolder) };
    },
  );
  routes.add(
    {
      ...list,
      method: 'POST',
      url: '/holders/search',
      summary: 'Holders with a card of this user number, which stands in no address that a proxy would log',
      body: z.strictObject({ userNumber: z.string().min(1).max(64) }),
      answer: z.object({ items: z.array(holderAnswer) }),
    },
    async ({ services, body }) => ({
      body: { items: (await services.holders.page('', 100, body)).map(shownHolder) },
    }),
  );
  routes.add(
    { ...list, ...holder, url: '/holders/:holderId', summary: 'One holder as it is now' },
    async ({ services, params: { holderId } }) => {
      const found = await services.holders.find(holderId);
      return found ? { body: shownHolder(found), etag: found.changeNumber } : { refuse: 'not-there' };
    },
  );
  routes.add(
    {
      ...list,
      params,
      url: '/holders/:holderId/at',
      summary: 'What will be in force of a holder at a moment to come, with a draft if one is named',
      query: z.object({ moment, changeSet: changeSet.optional() }),
      answer: z.object({ holder: holderBody.nullable() }),
    },
    async ({ services, params: { holderId }, query }) => {
      const state = await services.changeSets.rehearse(holderId, Date.parse(query.moment), query.changeSet);
      return { body: { holder: state ? shownState(state) : null } };
    },
  );
}

function addChanging(routes: Routes): void {
  const query = z.object({
    changeSet: changeSet.optional().describe('draft to plan this in, instead of at once'),
  });
  const change = { tag, params, scope: 'holders:write', query, idempotent: true } as const;
  routes.add(
    {
      ...change,
      method: 'PUT',
      url: '/holders/:holderId',
      summary: 'Make a holder be so from now on, or plan it in a change set',
      body: holderBody,
      condition: 'match-or-none',
      answer: holderAnswer.or(z.object({ plannedIn: z.string() })),
    },
    async ({ services, principal, params: { holderId }, query, body, expected }) =>
      query.changeSet === undefined
        ? answerOf(await services.holders.put(holderId, stateOf(body), expected, principal))
        : planAnswer(
            await services.changeSets.plan(
              query.changeSet,
              { holderId, state: stateOf(body), expected },
              principal,
            ),
          ),
  );
  routes.add(
    {
      ...change,
      method: 'DELETE',
      url: '/holders/:holderId',
      summary: 'Remove a holder with its cards, or plan it in a change set',
      condition: 'match',
      answer: z.object({ plannedIn: z.string() }),
    },
    async ({ services, principal, params: { holderId }, query, expected }) =>
      query.changeSet === undefined
        ? removalAnswer(await services.holders.remove(holderId, expected ?? 0, principal))
        : planAnswer(
            await services.changeSets.plan(
              query.changeSet,
              { holderId, state: undefined, expected },
              principal,
            ),
          ),
  );
}

function addSuspending(routes: Routes): void {
  const suspend = { ...holder, scope: 'holders:suspend', idempotent: true } as const;
  routes.add(
    {
      ...suspend,
      method: 'PUT',
      url: '/holders/:holderId/suspension',
      summary: 'Suspend a holder at once, whatever else is recorded, until it is lifted',
      body: z.strictObject({ reason }),
    },
    async ({ services, principal, params: { holderId }, body }) =>
      answerOf(await services.holders.suspend(holderId, body.reason, principal.actor)),
  );
  routes.add(
    {
      ...suspend,
      method: 'DELETE',
      url: '/holders/:holderId/suspension',
      summary: 'Lift the suspension of a holder',
      scope: 'holders:write',
    },
    async ({ services, principal, params: { holderId } }) =>
      answerOf(await services.holders.liftSuspension(holderId, principal)),
  );
  for (const [name, scope, summary] of [
    ['suspend-card', 'holders:suspend', 'Suspend one card at once, such as a lost one'],
    ['lift-card-suspension', 'holders:write', 'Lift the suspension of one card'],
  ] as const) {
    routes.add(
      {
        ...suspend,
        scope,
        method: 'POST',
        url: `/holders/:holderId/${name}`,
        summary,
        body: cardKeySchema.extend({ reason }),
      },
      async ({ services: { holders }, principal, params: { holderId }, body }) => {
        const { reason, ...card } = body;
        const key = { ...card, diversifier: card.diversifier ?? '' };
        return answerOf(
          name === 'suspend-card'
            ? await holders.suspendCard(holderId, key, reason, principal.actor)
            : await holders.liftCardSuspension(holderId, key, principal),
        );
      },
    );
  }
}

function answerOf(outcome: HolderOutcome | KeyReused): Answer<z.input<typeof holderAnswer>> {
  if (outcome.kind === 'done')
    return { body: shownHolder(outcome.holder), etag: outcome.holder.changeNumber };
  if (outcome.kind === 'invalid') return { refuse: 'invalid', problems: outcome.problems };
  return { refuse: outcome.kind };
}

function removalAnswer(outcome: HolderOutcome | KeyReused): Answer<never> {
  return outcome.kind === 'removed' ? nothing : { refuse: outcome.kind };
}

function planAnswer(outcome: PlanOutcome | KeyReused): Answer<{ plannedIn: string }> {
  if (outcome.kind === 'done') return { body: { plannedIn: outcome.changeSet.id } };
  if (outcome.kind === 'invalid') return { refuse: 'invalid', problems: outcome.problems };
  return { refuse: outcome.kind };
}
