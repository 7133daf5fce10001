import { z } from 'zod';
import { type AccessState, factOf } from '#core/access/access-state.ts';
import { scheduleOf } from '#core/access/policy.ts';
import type { DecisionTime, Rule, Tap, Verdict } from '#core/access/rule.ts';
import { groupIds, id } from '#core/access/rule-config.ts';
import { inForce } from '#core/access/schedule.ts';
import { conditionHolds } from '#core/access/site-state.ts';
import { permittedBy } from '#core/access/time-unknown.ts';
import { duration } from '#core/config/duration.ts';
import { groupAmong } from './holder-groups.ts';

/**
 * What holds a door unlocked for everybody, in its section of the rules:
 *
 * ```yaml
 * unlock: [{ schedule: office-hours, afterFirstOf: [staff] }]
 * toggle: { groups: [reception], schedule: office-hours }
 * timedHold: { groups: [movers], for: 30 min }
 * inEvacuation: unlock
 * ```
 */
export const holdConfig = {
  unlock: z
    .array(
      z.strictObject({
        schedule: id,
        afterFirstOf: groupIds.optional(),
        floors: z.array(id).min(1).optional(),
      }),
    )
    .default([])
    .describe('unlocked while a schedule is in force, where wanted only once somebody of some groups came'),
  toggle: z
    .strictObject({ groups: groupIds, schedule: id.optional() })
    .optional()
    .describe('groups whose cards switch between held unlocked and locked'),
  timedHold: z
    .strictObject({ groups: groupIds, for: duration(60_000, 86_400_000) })
    .optional()
    .describe('groups whose cards hold the door unlocked for some time'),
  inEvacuation: z
    .enum(['unlock', 'keep'])
    .default('keep')
    .describe('whether fire and evacuation hold the door unlocked; egress itself is a matter of the wiring'),
};

type Shared = Pick<AccessState, 'shared'>;

const holdSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('toggle') }),
  z.strictObject({ kind: z.literal('timed-hold'), bootId: z.string(), untilMs: z.number() }),
]);

/** What holds a door unlocked by card. A timed hold ends with its time, and with the boot it began in. */
export function holdByCard(
  doorId: string,
  state: Shared,
  { bootId, monotonicMs }: DecisionTime,
): z.infer<typeof holdSchema> | undefined {
  const key = holdKey(doorId);
  const fact = factOf(holdSchema, key, state.shared(key));
  if (fact?.kind !== 'timed-hold') return fact;
  return fact.bootId === bootId && monotonicMs < fact.untilMs ? fact : undefined;
}

/** When the first person came in whom unlock schedules of a door wait for, milliseconds UTC. */
export function firstCameMs(doorId: string, state: Shared): number | undefined {
  const key = firstKey(doorId);
  return factOf(z.number(), key, state.shared(key));
}

function holdKey(doorId: string): string {
  return `hold/${doorId}`;
}

function firstKey(doorId: string): string {
  return `first/${doorId}`;
}

/** A card holds its door unlocked, or ends that; the first of the day begins the hours of an unlock schedule. */
export const hold: Rule = {
  name: 'hold',
  check: (tap) => {
    const { request, state } = tap;
    if (conditionHolds('lockdown', [request.from, request.to], state)) return undefined;
    return toggled(tap) ?? timed(tap) ?? first(tap);
  },
};

function toggled(tap: Tap): Verdict | undefined {
  const { slice, request, state, time } = tap;
  const { toggle } = slice.rules.door ?? {};
  const group = groupAmong(slice, toggle?.groups);
  if (!toggle || group === undefined) return undefined;
  if (toggle.schedule !== undefined && !permittedBy(tap, toggle.schedule)) return undefined;
  const key = holdKey(request.doorId);
  if (holdByCard(request.doorId, state, time)) {
    const used = { group, hold: 'ends' };
    return { kind: 'passed', used, changes: [{ key }], obligations: { locks: true } };
  }
  return { kind: 'passed', used: { group, hold: 'toggle' }, changes: [{ key, value: { kind: 'toggle' } }] };
}

function timed({ slice, request, state, time }: Tap): Verdict | undefined {
  const { timedHold } = slice.rules.door ?? {};
  const group = groupAmong(slice, timedHold?.groups);
  if (!timedHold || group === undefined) return undefined;
  if (holdByCard(request.doorId, state, time)?.kind === 'toggle') return undefined;
  const { bootId, monotonicMs } = time;
  const value = { kind: 'timed-hold', bootId, untilMs: monotonicMs + timedHold.for };
  return {
    kind: 'passed',
    used: { group, hold: 'timed-hold', forMs: timedHold.for },
    changes: [{ key: holdKey(request.doorId), value }],
  };
}

/** Somebody who comes while the clock may be wrong begins nothing. */
function first(tap: Tap): Verdict | undefined {
  if (!tap.time.trusted) return undefined;
  for (const { schedule, afterFirstOf } of tap.slice.rules.door?.unlock ?? []) {
    const group = groupAmong(tap.slice, afterFirstOf);
    if (group === undefined || !scheduled(tap, schedule)) continue;
    const change = { key: firstKey(tap.request.doorId), value: tap.timeMs, ifPassed: true as const };
    return { kind: 'passed', used: { group, first: schedule }, changes: [change] };
  }
  return undefined;
}

function scheduled({ slice, timeMs }: Tap, schedule: string): boolean {
  return inForce(scheduleOf(slice.rules, schedule), timeMs, slice.version.timeZone);
}
