import { scheduleOf } from '#core/access/policy.ts';
import type { Rule, Tap } from '#core/access/rule.ts';
import { inForce } from '#core/access/schedule.ts';
import type { RulesPermission } from '#core/access/site-rules.ts';

/** One of the holder's groups is let through this door now, or through any that leads to the zone beyond it. */
export const permission: Rule = {
  name: 'permission',
  check: (tap) => {
    const { holder, rules } = tap.slice;
    const { doorId, to } = tap.request;
    const mine = rules.permissions.filter(
      ({ group, door, zone }) =>
        holder?.groups.includes(group) && (zone === undefined ? door === doorId : zone === to),
    );
    const found = mine.find((one) => holdsNow(tap, one));
    if (!found) return { kind: 'denied', reason: mine.length === 0 ? 'no-permission' : 'outside-schedule' };
    const { group, zone, schedule } = found;
    const used = { group, ...(zone === undefined ? {} : { zone }) };
    return { kind: 'passed', used: schedule === undefined ? used : { ...used, schedule } };
  },
};

function holdsNow({ slice, timeMs }: Tap, { schedule }: RulesPermission): boolean {
  return schedule === undefined || inForce(scheduleOf(slice.rules, schedule), timeMs, slice.version.timeZone);
}
