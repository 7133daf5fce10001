import { z } from 'zod';
import { hasRoom, standsApart, total } from '#core/access/counting.ts';
import type { Rule } from '#core/access/rule.ts';
import { countScope } from '#core/access/rule-config.ts';
import { peopleIn, personsOf } from './position.ts';

export const occupancyConfig = z
  .strictObject({ limit: z.int().min(1).max(1_000_000), scope: countScope })
  .optional()
  .describe('how many people may be in the zone at once');

/** A zone that is full lets nobody in; whoever is known to be inside already takes no further place. */
export const occupancy: Rule = {
  name: 'occupancy',
  ofPassing: true,
  check: (tap) => {
    const { from, to: zone } = tap.request;
    if (from === zone) return undefined;
    const config = zone === undefined ? undefined : tap.slice.rules.zones.get(zone)?.occupancy;
    if (zone === undefined || !config) return undefined;
    const { limit, scope } = config;
    const more = personsOf(tap).filter(({ position }) => position?.zone !== zone).length;
    const parts = peopleIn(zone, tap.state);
    const used = { zone, limit, inside: total(parts) };
    if (more === 0) return { kind: 'passed', used };
    if (standsApart(scope, tap)) return { kind: 'denied', reason: 'group-apart', used };
    return hasRoom({ more, limit, parts, scope, tap })
      ? { kind: 'passed', used }
      : { kind: 'denied', reason: 'zone-full', used };
  },
};
