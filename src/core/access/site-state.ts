import { z } from 'zod';
import { type AccessState, factOf, type StateChange } from './access-state.ts';

/**
 * Conditions of a whole site, or of some of its zones, which outlast a reboot as shared facts: commands and rules on
 * inputs set them, rules of taps and doors obey them. `fire` follows the contact of the fire panel: the software
 * observes it, and releases nothing that the wiring must release.
 */
export const siteConditions = ['fire', 'evacuation', 'lockdown'] as const;
export type SiteCondition = (typeof siteConditions)[number];

/** Without `zones` the whole site. */
const conditionSchema = z.strictObject({ zones: z.array(z.string()).min(1).optional() });
const threatSchema = z.int().min(0);

type Shared = Pick<AccessState, 'shared'>;

/** Whether `condition` holds for what touches `zones`: everywhere, or in one of them. */
export function conditionHolds(
  condition: SiteCondition,
  zones: readonly (string | undefined)[],
  state: Shared,
): boolean {
  const key = `site/${condition}`;
  const fact = factOf(conditionSchema, key, state.shared(key));
  if (!fact) return false;
  return fact.zones === undefined || fact.zones.some((zone) => zones.includes(zone));
}

/** The threat level that stands: 0 unless somebody has raised it. */
export function threatLevel(state: Shared): number {
  return factOf(threatSchema, 'site/threat', state.shared('site/threat')) ?? 0;
}

/** Declares `condition` in `zones` (without them: everywhere), in place of what was declared before. */
export function declareCondition(condition: SiteCondition, zones?: readonly string[]): StateChange {
  return { key: `site/${condition}`, value: zones ? { zones } : {} };
}

export function endCondition(condition: SiteCondition): StateChange {
  return { key: `site/${condition}` };
}

/** `level` 0 is the usual one. */
export function setThreatLevel(level: number): StateChange {
  return level === 0 ? { key: 'site/threat' } : { key: 'site/threat', value: threatSchema.parse(level) };
}
