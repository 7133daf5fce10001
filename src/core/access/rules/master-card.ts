import { z } from 'zod';
import type { Rule } from '#core/access/rule.ts';
import { groupIds } from '#core/access/rule-config.ts';
import { duration } from '#core/config/duration.ts';
import { groupAmong } from './holder-groups.ts';

export const masterConfig = z
  .strictObject({
    groups: groupIds,
    freshFor: duration(60_000, 90 * 86_400_000).describe(
      'how old the policy may be for its master cards to count',
    ),
  })
  .optional()
  .describe('groups whose cards pass whatever rules of lower precedence say');

/**
 * A card of a master group outranks every rule below, but only by a policy young enough to know of a lost master card,
 * and only while the clock can tell that; otherwise the card is like any other.
 */
export const masterCard: Rule = {
  name: 'master-card',
  check: ({ slice, time, timeMs }) => {
    const master = slice.rules.site.master;
    const group = groupAmong(slice, master?.groups);
    if (!master || group === undefined) return undefined;
    const ageMs = timeMs - (slice.version.freshAtMs ?? slice.version.installedAtMs);
    const fresh = time.trusted && ageMs >= 0 && ageMs <= master.freshFor;
    return { kind: 'passed', used: { group, fresh }, ...(fresh ? { outranks: true } : {}) };
  },
};
