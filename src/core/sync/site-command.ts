import { z } from 'zod';
import type { AccessState, StateChange } from '#core/access/access-state.ts';
import type { SiteEffect } from '#core/access/automation.ts';
import {
  declareCondition,
  endCondition,
  onlyIn,
  type SiteCondition,
  setThreatLevel,
  threatLevel,
} from '#core/access/site-state.ts';
import type { CommandAction } from './command.ts';

const siteKinds = [
  'lockdown',
  'end-lockdown',
  'evacuation',
  'end-evacuation',
  'end-fire',
  'threat-level',
] as const satisfies readonly CommandAction['kind'][];

/** A command that declares something of the site, or ends it. */
export type SiteAction = Extract<CommandAction, { readonly kind: (typeof siteKinds)[number] }>;

type Shared = Pick<AccessState, 'shared'>;

export function isSiteAction(action: CommandAction): action is SiteAction {
  return siteKinds.some((kind) => kind === action.kind);
}

/** Whether `action` protects people or the site, and so is done at once and recorded as soon as it can be. */
export function protects(action: SiteAction, state: Shared): boolean {
  if (action.kind === 'threat-level') return action.level > threatLevel(state);
  return action.kind === 'lockdown' || action.kind === 'evacuation';
}

/** What `action` declares or ends. */
export function conditionOf(action: SiteAction): string {
  return action.kind.replace('end-', '');
}

/** when each zone was last declared by a command, milliseconds UTC; of the whole site under this name, which no zone has */
const wholeSite = '';
const timesSchema = z.record(z.string(), z.int().min(0));
type Times = z.output<typeof timesSchema>;

/** by how much the clocks of a server and of a terminal may differ that are both taken for right, in milliseconds */
const clocksDifferMs = 300_000;

/** Milliseconds UTC: when something was given, and what time it is, where the clock here is taken for right. */
export interface SiteTime {
  readonly givenAtMs: number;
  readonly nowMs: number | undefined;
}

/**
 * What `action` changes, and what is remembered, so that an end that comes late ends what was declared before it was given
 * and nothing else; undefined where that is nothing. Whoever ends something on the device itself means what holds there:
 * such an end is given at infinity. What was declared while the clock was ahead, was declared at a time nobody knows.
 */
export function siteChanges(
  action: SiteAction,
  { givenAtMs, nowMs }: SiteTime,
  state: Shared,
): readonly StateChange[] | undefined {
  const key = `commanded/${conditionOf(action)}`;
  const times = rememberedTimes(state.shared(key), nowMs);
  const given = { givenAtMs, key, times };
  switch (action.kind) {
    case 'lockdown':
    case 'evacuation':
      return [declareCondition(action.kind, state, action.zones), declaredAt(given, action.zones)];
    case 'end-lockdown':
      return ended('lockdown', given, state, action.zones);
    case 'end-evacuation':
      return ended('evacuation', given, state, action.zones);
    case 'end-fire':
      return ended('fire', given, state, action.zones);
    case 'threat-level': {
      const change = setThreatLevel(action.level);
      if (protects(action, state)) return [change, declaredAt(given)];
      return (times[wholeSite] ?? 0) > givenAtMs ? undefined : [change, { key }];
    }
    default:
      return action satisfies never;
  }
}

/** A fact that cannot be read stops nothing, and a time that has not come yet is none. */
function rememberedTimes(fact: unknown, nowMs: number | undefined): Times {
  const latestMs = nowMs === undefined ? Number.POSITIVE_INFINITY : nowMs + clocksDifferMs;
  const times = Object.entries(timesSchema.safeParse(fact).data ?? {});
  return Object.fromEntries(times.map(([zone, atMs]) => [zone, atMs > latestMs ? 0 : atMs]));
}

/**
 * What a rule on inputs changes at `atMs` (UTC), as a command given here would: an end that the server gave before, and
 * that comes late, leaves what a panic button has declared. Where nobody knows the time any end counts.
 */
export function ruleChanges(
  effect: SiteEffect,
  { atMs, clock }: { readonly atMs: number; readonly clock: string },
  state: Shared,
): readonly StateChange[] {
  const begunMs = clock === 'trusted' ? Math.max(0, atMs - clocksDifferMs) : 0;
  if (effect.kind === 'condition' && effect.on && effect.condition === 'fire')
    return [declareCondition('fire', state, effect.zones)];
  const action = actionOf(effect);
  const givenAtMs = protects(action, state) ? begunMs : Number.POSITIVE_INFINITY;
  return siteChanges(action, { givenAtMs, nowMs: clock === 'trusted' ? atMs : undefined }, state) ?? [];
}

function actionOf(effect: SiteEffect): SiteAction {
  if (effect.kind === 'threat-level') return effect;
  const { condition, on, zones } = effect;
  const named = { zones: zones && [...zones] };
  return on && condition !== 'fire' ? { kind: condition, ...named } : { kind: `end-${condition}`, ...named };
}

interface GivenSite {
  readonly givenAtMs: number;
  readonly key: string;
  readonly times: Times;
}

function declaredAt(
  { givenAtMs, key, times }: GivenSite,
  zones: readonly string[] = [wholeSite],
): StateChange {
  // one that was to end something when it was given, and raises something by now
  const begunMs = Number.isFinite(givenAtMs) ? givenAtMs : 0;
  const atMs = (zone: string) => Math.max(times[zone] ?? 0, begunMs);
  return { key, value: { ...times, ...Object.fromEntries(zones.map((zone) => [zone, atMs(zone)])) } };
}

function ended(
  condition: SiteCondition,
  { givenAtMs, key, times }: GivenSite,
  state: Shared,
  zones?: readonly string[],
): readonly StateChange[] | undefined {
  const later = Object.entries(times).filter(([, atMs]) => atMs > givenAtMs);
  const stays = new Set(later.map(([zone]) => zone));
  if (stays.has(wholeSite)) return undefined;
  const left = (names: Times): StateChange =>
    Object.keys(names).length === 0 ? { key } : { key, value: { ...names } };
  if (!zones) {
    if (stays.size === 0) return [endCondition(condition, state), left({})];
    const change = onlyIn(condition, state, [...stays]);
    return change && [change, left(Object.fromEntries(later))];
  }
  const named = zones.filter((zone) => !stays.has(zone));
  if (named.length === 0) return undefined;
  const others = Object.entries(times).filter(([zone]) => !named.includes(zone));
  return [endCondition(condition, state, named), left(Object.fromEntries(others))];
}
