import type { AccessState } from './access-state.ts';
import { heldByCommand, holdLeftMs } from './command-hold.ts';
import { effectiveMs } from './decide.ts';
import type { DoorMode, HoldCause } from './door-state.ts';
import { type DoorPolicy, scheduleOf } from './policy.ts';
import type { DecisionTime } from './rule.ts';
import { holdByCard, lastCameMs, standingHold } from './rules/hold.ts';
import { ageingMs, policyStanding } from './rules/policy-age.ts';
import { inForce, inForceSince } from './schedule.ts';
import { conditionHolds } from './site-state.ts';

/** Everything that decides what a door does while nobody asks anything of it. */
export interface DoorSituation {
  readonly doorId: string;
  /** of an elevator: the floor whose output this is */
  readonly floor?: string;
  /** the zones its readers lead from and to */
  readonly zones: readonly string[];
  /** absent while no policy is installed: then nothing holds the door unlocked */
  readonly policy: DoorPolicy | undefined;
  readonly state: Pick<AccessState, 'shared'>;
  /** the disk has not told yet what stands: a lockdown may, so nothing that ranks below it holds the door */
  readonly factsUnread?: boolean;
  readonly time: DecisionTime;
}

type ModeCause = HoldCause | 'lockdown';

/** What may hold a door unlocked, and lockdown, the weightiest first: the door's part of the precedence table. */
export const modePrecedence: readonly ModeCause[] = [
  'fire',
  'evacuation',
  'lockdown',
  'command',
  'timed-hold',
  'toggle',
  'schedule',
];

/** The mode a door is to be in; to be asked again whenever a fact changes, and after `nextLookMs`. */
export function wantedMode(situation: DoorSituation): DoorMode {
  const { factsUnread } = situation;
  const possible = factsUnread
    ? modePrecedence.slice(0, modePrecedence.indexOf('lockdown') + 1)
    : modePrecedence;
  const cause = possible.find((one) => stands(one, situation));
  if (cause === undefined) return { kind: 'normal' };
  return cause === 'lockdown' ? { kind: 'lockdown' } : { kind: 'held', by: cause };
}

/** Whether the mode of doors rests on the fact `key`; of those of passages, which change with every tap, it does not. */
export function bearsOnDoors(key: string): boolean {
  return /^(?:site|hold|first|command-hold)\//.test(key);
}

/**
 * How long a mode found now is good for, in milliseconds: schedules change at full minutes, and a hold for some time
 * ends when it ends. A clock that steps is noticed a minute later at most.
 */
export function nextLookMs({
  doorId,
  state,
  time,
}: Pick<DoorSituation, 'doorId' | 'state' | 'time'>): number {
  const untilMinute = 60_000 - (time.utcMs % 60_000);
  const held = holdByCard(doorId, state);
  const byCard =
    held?.kind === 'timed-hold' && held.bootId === time.bootId ? held.untilMs - time.monotonicMs : 0;
  const left = [byCard, holdLeftMs(doorId, state, time)].filter((ms) => ms > 0);
  return Math.min(untilMinute, ...left);
}

function stands(cause: ModeCause, situation: DoorSituation): boolean {
  const { zones, policy, state } = situation;
  switch (cause) {
    case 'fire':
    case 'evacuation':
      return policy?.rules.door?.inEvacuation === 'unlock' && conditionHolds(cause, zones, state);
    case 'lockdown':
      return conditionHolds('lockdown', zones, state);
    case 'command':
      return heldByCommand(situation.doorId, state, situation.time);
    case 'timed-hold':
    case 'toggle':
      return policy !== undefined && heldNow(cause, policy, situation);
    case 'schedule':
      return policy !== undefined && scheduledNow(policy, situation);
    default:
      return cause satisfies never;
  }
}

function heldNow(cause: ModeCause, policy: DoorPolicy, { floor, time, ...at }: DoorSituation): boolean {
  if (holdByCard(at.doorId, at.state)?.kind !== cause) return false;
  const hold = standingHold({ ...at, policy, time, timeMs: effectiveMs(time) });
  return hold !== undefined && (floor === undefined || !hold.floors || hold.floors.includes(floor));
}

/**
 * Unlock schedules hold only while the clock is known to be right: a wrong one would let in anybody, unseen; and only
 * while the policy is young enough to admit everybody it names.
 */
function scheduledNow(
  { rules, version }: DoorPolicy,
  { doorId, floor, state, time }: DoorSituation,
): boolean {
  if (!time.trusted) return false;
  const standing = policyStanding(rules.door?.ageing, version, ageingMs(time));
  if (standing && standing.tier !== 'full') return false;
  return (rules.door?.unlock ?? []).some(({ schedule: id, afterFirstOf, floors }) => {
    if (floor !== undefined && floors && !floors.includes(floor)) return false;
    const at = [scheduleOf(rules, id), time.utcMs, version.timeZone] as const;
    if (!inForce(...at)) return false;
    if (afterFirstOf === undefined) return true;
    const cameMs = lastCameMs(doorId, afterFirstOf, state);
    if (cameMs === undefined || cameMs > time.utcMs) return false;
    // what takes longest to say comes last: every change of a fact asks this of every door
    return cameMs >= (inForceSince(...at) ?? Number.POSITIVE_INFINITY);
  });
}
