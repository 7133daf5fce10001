import type { Rule, Tap } from '#core/access/rule.ts';
import { demandedBy } from '#core/access/time-unknown.ts';
import { type AssuranceProperty, assuranceProperties } from '#core/card/reading.ts';
import { demandedByAge } from './policy-age.ts';

/** The reading has every property the door demands now; only a PIN can still be added. */
export const assurance: Rule = {
  name: 'assurance',
  check: (tap) => {
    const { reading } = tap;
    const missing = demandedAssurance(tap).filter((property) => !reading.assurance.includes(property));
    if (missing.length === 0) return { kind: 'passed' };
    const used = { missing };
    return missing.some((property) => property !== 'pin')
      ? { kind: 'denied', reason: 'assurance-insufficient', used }
      : { kind: 'needs', property: 'pin', used };
  },
};

/** The assurance the tap's door demands now, in the fixed order of the properties. */
export function demandedAssurance(tap: Pick<Tap, 'slice' | 'time' | 'timeMs'>): readonly AssuranceProperty[] {
  const door = tap.slice.rules.door;
  if (!door) return [];
  const demanded = new Set<AssuranceProperty>(door.assurance);
  for (const entry of door.additional) {
    if (!demandedBy(tap, entry.schedule)) continue;
    for (const property of entry.assurance) demanded.add(property);
  }
  for (const property of demandedByAge(tap)) demanded.add(property);
  return assuranceProperties.filter((property) => demanded.has(property));
}
