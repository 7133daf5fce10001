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
  const fact = declaredOf(condition, state);
  if (!fact) return false;
  return fact.zones === undefined || fact.zones.some((zone) => zones.includes(zone));
}

/** The threat level that stands: 0 unless somebody has raised it. */
export function threatLevel(state: Shared): number {
  return factOf(threatSchema, 'site/threat', state.shared('site/threat')) ?? 0;
}

/**
 * Declares `condition` in `zones` (without them: everywhere) beside where it holds already. Of a fact that cannot be
 * read nobody knows where that is: a lockdown is then one of the whole site, and of the others what is declared counts.
 */
export function declareCondition(
  condition: SiteCondition,
  state: Shared,
  zones?: readonly string[],
): StateChange {
  const key = `site/${condition}`;
  const { success, data } = storedAs(condition, state);
  const fact = !success && condition === 'lockdown' ? {} : data;
  if (!zones || (fact && !fact.zones)) return { key, value: {} };
  return { key, value: { zones: [...new Set([...(fact?.zones ?? []), ...zones])].toSorted() } };
}

/**
 * Ends `condition` in `zones` (without them: everywhere). What was declared for the whole site, and what cannot be
 * read, holds until it is ended for the whole site.
 */
export function endCondition(
  condition: SiteCondition,
  state: Shared,
  zones?: readonly string[],
): StateChange {
  const key = `site/${condition}`;
  const before = state.shared(key);
  const zonesBefore = storedAs(condition, state).data?.zones;
  if (!zones || before === undefined) return { key };
  if (!zonesBefore) return { key, value: before };
  const left = zonesBefore.filter((zone) => !zones.includes(zone));
  return left.length === 0 ? { key } : { key, value: { zones: left } };
}

/** Ends `condition` everywhere but in `zones`, which were declared since; undefined where it holds nowhere else. */
export function onlyIn(
  condition: SiteCondition,
  state: Shared,
  zones: readonly string[],
): StateChange | undefined {
  const { success, data } = storedAs(condition, state);
  if (success && !data) return undefined;
  if (data?.zones?.every((zone) => zones.includes(zone))) return undefined;
  return { key: `site/${condition}`, value: { zones: zones.toSorted() } };
}

function storedAs(condition: SiteCondition, state: Shared) {
  return conditionSchema.optional().safeParse(state.shared(`site/${condition}`));
}

function declaredOf(condition: SiteCondition, state: Shared): z.output<typeof conditionSchema> | undefined {
  const key = `site/${condition}`;
  return factOf(conditionSchema, key, state.shared(key));
}

/** `level` 0 is the usual one. */
export function setThreatLevel(level: number): StateChange {
  return level === 0 ? { key: 'site/threat' } : { key: 'site/threat', value: threatSchema.parse(level) };
}
