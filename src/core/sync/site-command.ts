import { z } from 'zod';
import type { AccessState, StateChange } from '#core/access/access-state.ts';
import { declareCondition, endCondition, setThreatLevel, threatLevel } from '#core/access/site-state.ts';
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

export function siteChange(action: SiteAction, state: Shared): StateChange {
  switch (action.kind) {
    case 'lockdown':
    case 'evacuation':
      return declareCondition(action.kind, state, action.zones);
    case 'end-lockdown':
      return endCondition('lockdown', state, action.zones);
    case 'end-evacuation':
      return endCondition('evacuation', state, action.zones);
    case 'end-fire':
      return endCondition('fire', state, action.zones);
    case 'threat-level':
      return setThreatLevel(action.level);
    default:
      return action satisfies never;
  }
}

const declaredSchema = z.int().min(0);

/** What `action` declares or ends. */
export function conditionOf(action: SiteAction): string {
  return action.kind.replace('end-', '');
}

/** When what `action` declares or ends was last declared by a command. A fact that cannot be read stops nothing. */
function declared(action: SiteAction, state: Shared) {
  const key = `commanded/${conditionOf(action)}`;
  return { key, atMs: declaredSchema.safeParse(state.shared(key)).data ?? 0 };
}

/** Remembers when a command was given that protects, so that none given before it ends that. */
export function declaredBy(action: SiteAction, issuedAtMs: number, state: Shared): StateChange {
  const { key, atMs } = declared(action, state);
  return { key, value: Math.max(atMs, issuedAtMs) };
}

/** Whether what `action` would end was declared by a command that was given later. */
export function isSuperseded(action: SiteAction, issuedAtMs: number, state: Shared): boolean {
  return issuedAtMs < declared(action, state).atMs;
}
