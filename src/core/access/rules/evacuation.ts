import { z } from 'zod';
import type { AccessState } from '#core/access/access-state.ts';
import type { DoorRules } from '#core/access/policy.ts';
import type { Rule, Tap } from '#core/access/rule.ts';
import { groupIds } from '#core/access/rule-config.ts';
import { conditionHolds } from '#core/access/site-state.ts';
import { groupAmong } from './holder-groups.ts';

export const evacuationConfig = z
  .strictObject({ exempt: groupIds })
  .optional()
  .describe('groups that may enter what is being evacuated');

/**
 * Nobody but exempt groups enters what is being evacuated, or where there is fire. Whoever is in a zone may leave it, and
 * go from one evacuated zone into another: which of them is on the way out, nobody has said. A zone that the policy
 * does not have is outside of all zones; a reader that leads from there, or nowhere known, is an entrance: into the zones
 * of its door where it names none itself.
 */
export const evacuation: Rule = {
  name: 'evacuation',
  check: ({ slice, request, state }) => {
    if (!entersEvacuated(request, slice.rules, state)) return undefined;
    const exempt = groupAmong(slice, slice.rules.site.evacuation?.exempt);
    return exempt === undefined
      ? { kind: 'denied', reason: 'evacuation' }
      : { kind: 'passed', used: { group: exempt } };
  },
};

type Way = Pick<Tap['request'], 'from' | 'to' | 'zones'>;
type Zones = Pick<DoorRules, 'zones'>;

/** Whether whoever goes this way comes into what is being evacuated. */
export function entersEvacuated(way: Way, rules: Zones, state: Pick<AccessState, 'shared'>): boolean {
  const { from, to, zones = [] } = way;
  const evacuated = (...zones: readonly (string | undefined)[]) =>
    conditionHolds('evacuation', zones, state) || conditionHolds('fire', zones, state);
  const leaves = leadsOut(way, rules) || (isZone(from, rules) && evacuated(from));
  const nowhereKnown = from === undefined && to === undefined;
  return !leaves && evacuated(to, ...(nowhereKnown ? zones : []));
}

/** Whether the way leads out of all zones of the policy; of one that is named on neither side, nobody knows. */
export function leadsOut({ from, to }: Way, rules: Zones): boolean {
  return isZone(from, rules) ? !isZone(to, rules) : from !== undefined && to === undefined;
}

function isZone(zone: string | undefined, { zones }: Zones): boolean {
  return zone !== undefined && zones.has(zone);
}
