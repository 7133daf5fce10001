import { scheduleOf } from '#core/access/policy.ts';
import type { Rule, Tap } from '#core/access/rule.ts';
import { inForce } from '#core/access/schedule.ts';
import type { RulesPermission } from '#core/access/site-rules.ts';

/** One of the holder's groups is let through this door now. */
export const permission: Rule = {
  name: 'permission',
  check: (tap) => {
    const { holder, rules } = tap.slice;
    const mine = rules.permissions.filter(({ group }) => holder?.groups.includes(group));
    const found = mine.find((one) => holdsNow(tap, one));
    if (!found) return { kind: 'denied', reason: mine.length === 0 ? 'no-permission' : 'outside-schedule' };
    const { group, schedule } = found;
    return { kind: 'passed', used: schedule === undefined ? { group } : { group, schedule } };
  },
};

function holdsNow({ slice, timeMs }: Tap, { schedule }: RulesPermission): boolean {
  return schedule === undefined || inForce(scheduleOf(slice.rules, schedule), timeMs, slice.version.timeZone);
}
