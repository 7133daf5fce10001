import { z } from 'zod';
import { factOf } from '#core/access/access-state.ts';
import { standsApart } from '#core/access/counting.ts';
import { momentOf, momentSchema } from '#core/access/moment.ts';
import type { Tap, Verdict } from '#core/access/rule.ts';
import { id, scope } from '#core/access/rule-config.ts';

export const onceConfig = z.strictObject({
  id: id.describe('one id for each event: who was admitted under it is not admitted again'),
  kind: z.literal('once'),
  scope,
});

/** One admission of each holder to one event: a polling place, a meeting. No time and no reboot gives another. */
export function once(
  tap: Tap,
  { id: service, scope }: z.output<typeof onceConfig>,
  holderId: string,
): Verdict {
  const key = `once/${service}`;
  const used = { service };
  if (factOf(momentSchema, key, tap.state.holder(key))) {
    return { kind: 'denied', reason: 'already-admitted', used };
  }
  if (standsApart(scope, tap)) return { kind: 'denied', reason: 'group-apart', used };
  return {
    kind: 'passed',
    used,
    obligations: { service: { id: service, result: 'admitted' } },
    changes: [{ key, holderId, value: { ...momentOf(tap) }, ifPassed: true }],
  };
}
