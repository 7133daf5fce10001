import { z } from 'zod';
import { policyStatusSchema, terminalDeviceSchema, terminalPlacesSchema } from '#core/sync/presence.ts';
import type { TerminalSummary } from '../terminals/terminal-register.ts';
import { nothing, type Routes } from './route.ts';
import { moment, momentOf } from './wire.ts';

const terminalAnswer = z.object({
  id: z.string(),
  name: z.string(),
  state: z.enum(['waiting', 'enrolled', 'shut']),
  enrolmentUntil: moment.optional(),
  certificateUntil: moment.optional(),
  presence: z
    .object({
      online: z.boolean(),
      heard: moment,
      device: terminalDeviceSchema,
      policy: policyStatusSchema
        .optional()
        .describe('the policy of this server that it goes by, what it is fetching, and what it refused last'),
    })
    .optional()
    .describe('absent where it was never heard of'),
});

/** Which terminals there are and how they are. */
export function addTerminalListRoutes(routes: Routes): void {
  routes.add(
    {
      method: 'GET',
      url: '/terminals',
      summary: 'All terminals that the caller reaches, and what each has said of itself last',
      tag: 'terminals',
      scope: 'terminals:read',
      answer: z.object({ items: z.array(terminalAnswer) }),
    },
    async ({ services, principal }) => {
      const reached = principal.terminals;
      const all = await services.terminals.list();
      const own = all.filter(({ terminal }) => reached === undefined || reached.has(terminal));
      return { body: { items: own.map(shown) } };
    },
  );
  addPlaces(routes);
}

/** Where a terminal is, which it says itself once it is connected. */
function addPlaces(routes: Routes): void {
  const one = {
    url: '/terminals/:terminalId/places',
    tag: 'terminals',
    params: z.object({ terminalId: z.string().min(1).max(32) }),
  } as const;
  routes.add(
    {
      ...one,
      method: 'GET',
      summary: 'Doors of a terminal, zones that its readers lead to, and services at them',
      scope: 'terminals:read',
      answer: terminalPlacesSchema,
    },
    async ({ services, principal, params: { terminalId } }) => {
      const reached = principal.terminals?.has(terminalId) ?? true;
      const places = reached ? await services.places.find(terminalId) : undefined;
      return places ? { body: places } : { refuse: 'not-there' };
    },
  );
  routes.add(
    {
      ...one,
      method: 'PUT',
      summary:
        'Enters these for a terminal that has not said them itself, so that its policy is ready when it comes',
      scope: 'terminals:write',
      body: terminalPlacesSchema,
    },
    async ({ services, principal, params: { terminalId }, body }) => {
      const known = await services.terminals.list();
      if (!known.some(({ terminal }) => terminal === terminalId)) return { refuse: 'not-there' };
      await services.places.put(terminalId, body, principal.actor);
      return nothing;
    },
  );
}

function shown(one: TerminalSummary): z.input<typeof terminalAnswer> {
  const { terminal: id, name, state, enrolmentUntilMs, certificateUntilMs, presence } = one;
  return {
    ...{ id, name, state },
    ...(enrolmentUntilMs !== undefined && { enrolmentUntil: momentOf(enrolmentUntilMs) }),
    ...(certificateUntilMs !== undefined && { certificateUntil: momentOf(certificateUntilMs) }),
    ...(presence && {
      presence: {
        online: presence.online,
        heard: momentOf(presence.heardAtMs),
        device: presence.device,
        ...(presence.policy && { policy: presence.policy }),
      },
    }),
  };
}
