import type { Rule } from '#core/access/rule.ts';
import { groupAmong } from './holder-groups.ts';

/** Whoever needs more time to pass gets it, at every door. */
export const longerAccess: Rule = {
  name: 'longer-access',
  check: ({ slice }) => {
    const group = groupAmong(slice, slice.rules.site.longerAccess);
    return group === undefined
      ? undefined
      : { kind: 'passed', used: { group }, obligations: { longer: true } };
  },
};
