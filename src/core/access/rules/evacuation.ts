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
 * does not have is outside of all zones; a reader that leads from there, or nowhere known, is an entrance.
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

/** Whether whoever goes `from` one zone `to` another comes into what is being evacuated. */
export function entersEvacuated(
  { from, to }: Pick<Tap['request'], 'from' | 'to'>,
  { zones }: Pick<DoorRules, 'zones'>,
  state: Pick<AccessState, 'shared'>,
): boolean {
  const evacuated = (zone: string | undefined) =>
    conditionHolds('evacuation', [zone], state) || conditionHolds('fire', [zone], state);
  const inside = (zone: string | undefined) => zone !== undefined && zones.has(zone);
  const leaves = inside(from) ? !inside(to) || evacuated(from) : from !== undefined && to === undefined;
  return !leaves && evacuated(to);
}
