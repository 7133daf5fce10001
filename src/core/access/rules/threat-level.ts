import { z } from 'zod';
import type { Rule } from '#core/access/rule.ts';
import { id } from '#core/access/rule-config.ts';
import { threatLevel } from '#core/access/site-state.ts';

const level = z.int().min(1).max(9);

export const clearancesConfig = z
  .array(z.strictObject({ group: id, clearance: z.int().min(1).max(99) }))
  .default([])
  .describe('clearance of groups; of several the highest counts, and who is in none has 0');

export const clearanceConfig = z
  .array(z.strictObject({ fromLevel: level, needs: z.int().min(1).max(99) }))
  .default([])
  .describe('clearance that holders need from a threat level on');

/** From a threat level on, the door and the zone it leads to need a clearance; the highest that applies counts. */
export const threat: Rule = {
  name: 'threat-level',
  check: ({ slice: { rules, holder }, request, state }) => {
    const stands = threatLevel(state);
    const zone = request.to === undefined ? undefined : rules.zones.get(request.to);
    const demands = [...(rules.door?.clearance ?? []), ...(zone?.clearance ?? [])]
      .filter(({ fromLevel }) => stands >= fromLevel)
      .map(({ needs }) => needs);
    if (demands.length === 0) return undefined;
    const needs = Math.max(...demands);
    const mine = rules.site.clearances.filter(({ group }) => holder?.groups.includes(group));
    const has = Math.max(0, ...mine.map(({ clearance }) => clearance));
    const used = { level: stands, needs, has };
    return has >= needs
      ? { kind: 'passed', used }
      : { kind: 'denied', reason: 'clearance-insufficient', used };
  },
};
