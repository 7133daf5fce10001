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
