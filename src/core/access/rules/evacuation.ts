import { z } from 'zod';
import type { Rule } from '#core/access/rule.ts';
import { groupIds } from '#core/access/rule-config.ts';
import { conditionHolds } from '#core/access/site-state.ts';
import { groupAmong } from './holder-groups.ts';

export const evacuationConfig = z
  .strictObject({ exempt: groupIds })
  .optional()
  .describe('groups that may enter what is being evacuated');

/**
 * Nobody but exempt groups enters what is being evacuated, or where there is fire. Leaving it, and crossing one evacuated zone on the way out
 * of another, is never refused by this rule; a reader that leads nowhere known counts as an entrance.
 */
export const evacuation: Rule = {
  name: 'evacuation',
  check: ({ slice, request: { from, to }, state }) => {
    const evacuated = (zone: string | undefined) =>
      conditionHolds('evacuation', [zone], state) || conditionHolds('fire', [zone], state);
    const leaves = from !== undefined && (to === undefined || evacuated(from));
    if (leaves || !evacuated(to)) return undefined;
    const exempt = groupAmong(slice, slice.rules.site.evacuation?.exempt);
    return exempt === undefined
      ? { kind: 'denied', reason: 'evacuation' }
      : { kind: 'passed', used: { group: exempt } };
  },
};
