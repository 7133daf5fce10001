import { z } from 'zod';
import type { Rule, Tap } from '#core/access/rule.ts';
import { groupIds } from '#core/access/rule-config.ts';
import { conditionHolds } from '#core/access/site-state.ts';
import { groupAmong } from './holder-groups.ts';

export const lockdownConfig = z
  .strictObject({ exempt: groupIds })
  .optional()
  .describe('groups that a lockdown does not stop');

/** While a lockdown holds for a zone of the door, or one the reader leads from or to, only exempt groups pass. */
export const lockdown: Rule = {
  name: 'lockdown',
  check: (tap) => {
    if (!isLockedDown(tap)) return undefined;
    const { slice } = tap;
    const exempt = groupAmong(slice, slice.rules.site.lockdown?.exempt);
    return exempt === undefined
      ? { kind: 'denied', reason: 'lockdown' }
      : { kind: 'passed', used: { group: exempt } };
  },
};

export function isLockedDown({ request: { from, to, zones = [] }, state }: Tap): boolean {
  return conditionHolds('lockdown', [from, to, ...zones], state);
}
