import { z } from 'zod';
import { type Companion, factOf } from '#core/access/access-state.ts';
import { isWithin, momentOf, momentSchema } from '#core/access/moment.ts';
import type { Rule, Tap } from '#core/access/rule.ts';
import { id } from '#core/access/rule-config.ts';
import { demandedBy } from '#core/access/time-unknown.ts';
import { duration } from '#core/config/duration.ts';

export const twoPersonConfig = z
  .strictObject({
    within: duration(1_000, 600_000).prefault('30 s').describe('how long the first tap waits for the second'),
    schedule: id.optional().describe('only in this schedule'),
  })
  .optional()
  .describe('the door opens for two different holders, one after the other at the same reader');

/** A tap that waits for another at the same reader. */
export const waitingSchema = z.strictObject({ tapId: z.string(), since: momentSchema });

/**
 * Two different holders, each of whom could pass alone but for this rule, tap one after the other: the first waits and
 * is recorded, the second opens for both. Windows are this boot's, at one terminal: a reboot ends them.
 */
export const twoPerson: Rule = {
  name: 'two-person',
  check: (tap) => {
    if (!isAsked(tap)) return undefined;
    const key = keyOf(tap);
    const first = firstOfTwo(tap);
    if (first) {
      const waiting = factOf(waitingSchema, key, tap.state.shared(key));
      return { kind: 'passed', used: { with: waiting?.tapId ?? '' }, changes: [{ key }] };
    }
    const value = { tapId: tap.request.tapId, since: { ...momentOf(tap) } };
    return { kind: 'waits', reason: 'second-person', changes: [{ key, value }] };
  },
};

/** Who tapped first, where this tap is the second; undefined where it is itself the first. */
export function firstOfTwo(tap: Tap): Companion | undefined {
  const config = tap.slice.rules.door?.twoPerson;
  if (!config || !isAsked(tap)) return undefined;
  const key = keyOf(tap);
  const waiting = factOf(waitingSchema, key, tap.state.shared(key));
  if (!waiting || !isWithin(config.within, waiting.since, tap)) return undefined;
  const companion = tap.state.companion(waiting.tapId);
  return companion?.holderId === tap.slice.holder?.holderId ? undefined : companion;
}

function isAsked(tap: Tap): boolean {
  const config = tap.slice.rules.door?.twoPerson;
  return config !== undefined && (config.schedule === undefined || demandedBy(tap, config.schedule));
}

function keyOf({ request }: Tap): string {
  return `two-person/${request.readerId}`;
}
