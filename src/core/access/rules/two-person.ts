import { z } from 'zod';
import { type Companion, factOf } from '#core/access/access-state.ts';
import { isWithin, momentOf, momentSchema } from '#core/access/moment.ts';
import type { Rule, Tap } from '#core/access/rule.ts';
import { id } from '#core/access/rule-config.ts';
import { demandedBy } from '#core/access/time-unknown.ts';
import { duration } from '#core/config/duration.ts';
import type { JsonValue } from '#core/journal/record.ts';
import { permittedFloors } from './permission.ts';

export const twoPersonConfig = z
  .strictObject({
    within: duration(1_000, 600_000).prefault('30 s').describe('how long the first tap waits for the second'),
    schedule: id.optional().describe('only in this schedule'),
  })
  .optional()
  .describe('the door opens for two different holders, one after the other at the same reader');

/** A tap that waits for another at the same reader. */
export const waitingSchema = z.strictObject({
  tapId: z.string(),
  since: momentSchema,
  policyVersion: z.int().min(0),
  /** of an elevator: the floors this tap alone would free; all of them where absent */
  floors: z.array(z.string()).optional(),
});

/** What is remembered of a tap that another may follow. */
export function waitingOf(tap: Tap): JsonValue {
  const { request, slice } = tap;
  const floors = permittedFloors(tap);
  const waiting = { tapId: request.tapId, since: { ...momentOf(tap) }, policyVersion: slice.version.number };
  return { ...waiting, ...(floors && { floors: [...floors] }) };
}

/**
 * The tap that the fact `key` remembers, while it lies at most `withinMs` back. A new version of the policy ends all
 * waiting: it may have withdrawn what the first was let through by.
 */
export function waitingAt(
  key: string,
  withinMs: number,
  tap: Tap,
): z.output<typeof waitingSchema> | undefined {
  const waiting = factOf(waitingSchema, key, tap.state.shared(key));
  const current = waiting?.policyVersion === tap.slice.version.number;
  return waiting && current && isWithin(withinMs, waiting.since, tap) ? waiting : undefined;
}

/**
 * Two different holders, each of whom could pass alone but for this rule, tap one after the other: the first waits and
 * is recorded, the second opens for both, of an elevator the floors that each may go to. Windows are this boot's, at one
 * terminal: a reboot ends them.
 */
export const twoPerson: Rule = {
  name: 'two-person',
  ofPassing: true,
  check: (tap) => {
    const config = askedOf(tap);
    if (!config) return undefined;
    const key = keyOf(tap);
    if (firstOfTwo(tap)) {
      const used = { with: waitingAt(key, config.within, tap)?.tapId ?? '' };
      const floors = floorsOfBoth(tap);
      if (floors?.length === 0) return { kind: 'denied', reason: 'no-permission', used };
      const obligations = floors && { obligations: { floors } };
      return { kind: 'passed', used, changes: [{ key, ifObeyed: true }], ...obligations };
    }
    return { kind: 'waits', reason: 'second-person', changes: [{ key, value: waitingOf(tap) }] };
  },
};

/** Who tapped first, where this tap is the second; undefined where it is itself the first. */
export function firstOfTwo(tap: Tap): Companion | undefined {
  const config = askedOf(tap);
  const waiting = config && waitingAt(keyOf(tap), config.within, tap);
  if (!waiting) return undefined;
  const companion = tap.state.companion(waiting.tapId);
  return companion?.holderId === tap.slice.holder?.holderId ? undefined : companion;
}

/** Of an elevator: the floors that this tap, and whoever tapped first for it, free together; undefined for all. */
export function floorsOfBoth(tap: Tap): readonly string[] | undefined {
  const mine = permittedFloors(tap);
  const config = askedOf(tap);
  const first = config && firstOfTwo(tap) && waitingAt(keyOf(tap), config.within, tap);
  return first?.floors && mine
    ? mine.filter((floor) => first.floors?.includes(floor))
    : (mine ?? first?.floors);
}

function askedOf(tap: Tap): z.output<typeof twoPersonConfig> {
  const config = tap.slice.rules.door?.twoPerson;
  return config?.schedule === undefined || demandedBy(tap, config.schedule) ? config : undefined;
}

function keyOf({ request }: Tap): string {
  return `two-person/${request.readerId}`;
}
