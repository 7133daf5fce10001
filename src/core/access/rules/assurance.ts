import { type PolicySlice, scheduleOf } from '#core/access/policy.ts';
import type { Rule } from '#core/access/rule.ts';
import { inForce } from '#core/access/schedule.ts';
import { type AssuranceProperty, assuranceProperties } from '#core/card/reading.ts';

/** The reading has every property the door demands now; only a PIN can still be added. */
export const assurance: Rule = {
  name: 'assurance',
  check: ({ reading, slice, timeMs }) => {
    const demanded = demandedAssurance(slice, timeMs);
    const missing = demanded.filter((property) => !reading.assurance.includes(property));
    if (missing.length === 0) return { kind: 'passed' };
    const used = { missing };
    return missing.some((property) => property !== 'pin')
      ? { kind: 'denied', reason: 'assurance-insufficient', used }
      : { kind: 'needs', property: 'pin', used };
  },
};

/** The assurance the slice's door demands at `timeMs`, in the fixed order of the properties. */
export function demandedAssurance(
  { rules, version }: PolicySlice,
  timeMs: number,
): readonly AssuranceProperty[] {
  const door = rules.door;
  if (!door) return [];
  const demanded = new Set<AssuranceProperty>(door.assurance);
  for (const entry of door.additional) {
    if (inForce(scheduleOf(rules, entry.schedule), timeMs, version.timeZone)) {
      for (const property of entry.assurance) demanded.add(property);
    }
  }
  return assuranceProperties.filter((property) => demanded.has(property));
}
