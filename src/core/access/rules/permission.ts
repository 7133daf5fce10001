import { scheduleOf } from '#core/access/policy.ts';
import type { Rule, Tap, Used, Verdict } from '#core/access/rule.ts';
import { dayOf } from '#core/access/schedule.ts';
import type { RulesPermission } from '#core/access/site-rules.ts';
import { permittedBy, timeUnknown } from '#core/access/time-unknown.ts';

/** One of the holder's groups is let through this door now, or through any that leads to the zone beyond it. */
export const permission: Rule = {
  name: 'permission',
  check: (tap) => {
    const mine = permissionsOf(tap);
    const found = mine.find((one) => holdsNow(tap, one));
    if (!found) return refusal(tap, mine);
    const floors = permittedFloors(tap);
    const { group, zone, schedule } = found;
    const used = { group, ...(zone === undefined ? {} : { zone }) };
    return {
      kind: 'passed',
      used: {
        ...used,
        ...(schedule === undefined ? {} : { schedule, ...withoutTime(tap) }),
        ...(floors && { floors }),
      },
      ...(floors && { obligations: { floors } }),
    };
  },
};

function permissionsOf({ slice: { holder, rules }, request }: Tap): readonly RulesPermission[] {
  return rules.permissions.filter(
    ({ group, zone }) => holder?.groups.includes(group) && (zone === undefined || zone === request.to),
  );
}

/**
 * Of an elevator: the floors that the holder's permissions together free now. Undefined where one of them frees every
 * floor, and where none holds: who is let through without a permission is let through everywhere.
 */
export function permittedFloors(tap: Tap): readonly string[] | undefined {
  const holding = permissionsOf(tap).filter((one) => holdsNow(tap, one));
  const floors = holding.flatMap((one) => one.floors ?? []);
  return holding.length > 0 && holding.every((one) => one.floors) ? [...new Set(floors)] : undefined;
}

function holdsNow(tap: Tap, { schedule }: RulesPermission): boolean {
  return schedule === undefined || permittedBy(tap, schedule);
}

/** Why none of the holder's permissions holds, with the day that each schedule takes this one for. */
function refusal(tap: Tap, mine: readonly RulesPermission[]): Verdict {
  const kind = 'denied';
  if (mine.length === 0) return { kind, reason: 'no-permission' };
  const { slice, timeMs } = tap;
  if (timeUnknown(tap) === 'deny') return { kind, reason: 'time-unknown' };
  const outside = mine.flatMap(({ schedule: id }) =>
    id === undefined
      ? []
      : [{ schedule: id, day: dayOf(scheduleOf(slice.rules, id), timeMs, slice.version.timeZone) }],
  );
  return { kind, reason: 'outside-schedule', used: { outside } };
}

function withoutTime(tap: Tap): Used {
  return timeUnknown(tap) === 'unscheduled' ? { whileTimeUnknown: 'unscheduled' } : {};
}
