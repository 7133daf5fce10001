import { z } from 'zod';
import { terminalDeviceSchema } from '#core/sync/presence.ts';
import type { TerminalSummary } from '../terminals/terminal-register.ts';
import type { Routes } from './route.ts';
import { moment, momentOf } from './wire.ts';

const terminalAnswer = z.object({
  id: z.string(),
  name: z.string(),
  state: z.enum(['waiting', 'enrolled', 'shut']),
  enrolmentUntil: moment.optional(),
  certificateUntil: moment.optional(),
  presence: z
    .object({ online: z.boolean(), heard: moment, device: terminalDeviceSchema })
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
}

function shown(one: TerminalSummary): z.input<typeof terminalAnswer> {
  const { terminal: id, name, state, enrolmentUntilMs, certificateUntilMs, presence } = one;
  return {
    ...{ id, name, state },
    ...(enrolmentUntilMs !== undefined && { enrolmentUntil: momentOf(enrolmentUntilMs) }),
    ...(certificateUntilMs !== undefined && { certificateUntil: momentOf(certificateUntilMs) }),
    ...(presence && {
      presence: { online: presence.online, heard: momentOf(presence.heardAtMs), device: presence.device },
    }),
  };
}
