import { z } from 'zod';
import { type AccessState, factOf, type StateChange } from '#core/access/access-state.ts';
import { type DoorPolicy, scheduleOf } from '#core/access/policy.ts';
import type { DecisionTime, Rule, Tap, Used } from '#core/access/rule.ts';
import { groupIds, id } from '#core/access/rule-config.ts';
import { inForce, inForceSince } from '#core/access/schedule.ts';
import { permittedBy, timeUnknown } from '#core/access/time-unknown.ts';
import { duration } from '#core/config/duration.ts';
import { leadsOut } from './evacuation.ts';
import { groupAmong } from './holder-groups.ts';
import { isLockedDown } from './lockdown.ts';
import { ageingMs, policyStanding } from './policy-age.ts';
import { floorsOfBoth } from './two-person.ts';

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

const floorsSchema = z.array(z.string()).min(1).optional();
const holdSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('toggle'), sinceMs: z.number(), floors: floorsSchema }),
  z.strictObject({
    kind: z.literal('timed-hold'),
    bootId: z.string(),
    untilMs: z.number(),
    floors: floorsSchema,
  }),
]);
type Hold = z.infer<typeof holdSchema>;

/** What a card last asked a door to do; whether it stands is `standingHold`. */
export function holdByCard(doorId: string, state: Shared): Hold | undefined {
  const key = holdKey(doorId);
  return factOf(holdSchema, key, state.shared(key));
}

/** Ends what a card holds. */
export function endHoldByCard(doorId: string): StateChange {
  return { key: holdKey(doorId) };
}

/** A door, and when; `timeMs` is the time that counts. */
interface AtDoor {
  readonly doorId: string;
  readonly policy: DoorPolicy;
  readonly state: Shared;
  readonly time: DecisionTime;
  readonly timeMs: number;
}

/**
 * What holds a door unlocked by card, as long as the rules that began it are there and the policy is young enough to
 * admit everybody they name. A timed hold ends with its time, and with the boot it began in; a toggle with its schedule,
 * whose next period begins none.
 */
export function standingHold({ doorId, policy, state, time, timeMs }: AtDoor): Hold | undefined {
  const fact = holdByCard(doorId, state);
  const { door } = policy.rules;
  if (!fact || !door) return undefined;
  const standing = policyStanding(door.ageing, policy.version, ageingMs(time));
  if (standing && standing.tier !== 'full') return undefined;
  if (fact.kind === 'timed-hold') {
    const lasts = fact.bootId === time.bootId && time.monotonicMs < fact.untilMs;
    return door.timedHold && lasts ? fact : undefined;
  }
  if (!door.toggle) return undefined;
  const { schedule: id } = door.toggle;
  if (id === undefined || timeUnknown({ time, slice: policy }) === 'unscheduled') return fact;
  if (!permittedBy({ time, timeMs, slice: policy }, id)) return undefined;
  const beganMs = inForceSince(scheduleOf(policy.rules, id), timeMs, policy.version.timeZone);
  return beganMs !== undefined && beganMs <= fact.sinceMs ? fact : undefined;
}

/** When somebody of `groups` last came in during the hours of an unlock schedule that waits for them, milliseconds UTC. */
export function lastCameMs(doorId: string, groups: readonly string[], state: Shared): number | undefined {
  const came = groups.flatMap((group) => {
    const key = firstKey(doorId, group);
    return factOf(z.number(), key, state.shared(key)) ?? [];
  });
  return came.length === 0 ? undefined : Math.max(...came);
}

function holdKey(doorId: string): string {
  return `hold/${doorId}`;
}

function firstKey(doorId: string, group: string): string {
  return `first/${doorId}/${group}`;
}

/** A card holds its door unlocked, or ends that; the first of the day begins the hours of an unlock schedule. */
export const hold: Rule = {
  name: 'hold',
  check: (tap) => {
    if (isLockedDown(tap)) return undefined;
    if (endsHold(tap)) {
      const used = { group: togglingGroup(tap) ?? '', hold: 'ends' };
      const changes = [{ key: holdKey(tap.request.doorId), ifObeyed: true as const }];
      return { kind: 'passed', used, changes, obligations: { locks: true } };
    }
    const found = [begun(tap), first(tap)].filter((one) => one !== undefined);
    if (found.length === 0) return undefined;
    const used: Used = Object.assign({}, ...found.map((one) => one.used));
    return { kind: 'passed', used, changes: found.flatMap(({ changes }) => changes) };
  },
};

/** Whether this tap, if granted, ends what holds the door unlocked: it unlocks nothing, and nobody passes (`ofPassing`). */
export function endsHold(tap: Tap): boolean {
  return togglingGroup(tap) !== undefined && !isLockedDown(tap) && standingHold(atDoor(tap)) !== undefined;
}

function togglingGroup({ slice }: Tap): string | undefined {
  return groupAmong(slice, slice.rules.door?.toggle?.groups);
}

function atDoor({ request, slice, state, time, timeMs }: Tap): AtDoor {
  return { doorId: request.doorId, policy: slice, state, time, timeMs };
}

interface Found {
  readonly used: Used;
  readonly changes: readonly StateChange[];
}

/** The hold that this tap begins; of a timed hold, anew. */
function begun(tap: Tap): Found | undefined {
  const { slice, request, time, timeMs } = tap;
  const { toggle, timedHold } = slice.rules.door ?? {};
  const floors = floorsOfBoth(tap);
  const found = (group: string, value: { readonly kind: string } & Used, used: Used = {}): Found => {
    const change = { key: holdKey(request.doorId), value: { ...value, ...(floors && { floors }) } };
    return { used: { group, hold: value.kind, ...used }, changes: [{ ...change, ifObeyed: true }] };
  };
  const toggling = togglingGroup(tap);
  if (toggling !== undefined && (toggle?.schedule === undefined || permittedBy(tap, toggle.schedule))) {
    return found(toggling, { kind: 'toggle', sinceMs: timeMs });
  }
  const group = groupAmong(slice, timedHold?.groups);
  if (!timedHold || group === undefined || standingHold(atDoor(tap))?.kind === 'toggle') return undefined;
  const untilMs = time.monotonicMs + timedHold.for;
  return found(group, { kind: 'timed-hold', bootId: time.bootId, untilMs }, { forMs: timedHold.for });
}

/** Somebody who comes while the clock may be wrong begins nothing, nor does whoever leaves: nobody would be inside. */
function first(tap: Tap): Found | undefined {
  const { slice, request, time, timeMs } = tap;
  if (!time.trusted || leadsOut(request, slice.rules)) return undefined;
  const begins = (slice.rules.door?.unlock ?? []).flatMap(({ schedule, afterFirstOf }) => {
    const group = groupAmong(slice, afterFirstOf);
    return group !== undefined && scheduled(tap, schedule) ? { schedule, group } : [];
  });
  const [found] = begins;
  if (!found) return undefined;
  const groups = new Set(begins.map(({ group }) => group));
  const changes = [...groups].map((group) => ({
    key: firstKey(request.doorId, group),
    value: timeMs,
    ifPassed: true as const,
  }));
  return { used: { group: found.group, first: found.schedule }, changes };
}

function scheduled({ slice, timeMs }: Tap, schedule: string): boolean {
  return inForce(scheduleOf(slice.rules, schedule), timeMs, slice.version.timeZone);
}
