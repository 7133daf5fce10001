import type { CommandAction } from '#core/sync/command.ts';
import { isSiteAction } from '#core/sync/site-command.ts';

/** Whether nothing that was declared or ended of the same before counts any more. */
export function isWhole(action: CommandAction): boolean {
  return isSiteAction(action) && (action.kind === 'threat-level' || action.zones === undefined);
}

/** Whether nothing of what `earlier` declared or ended of the same counts once `later` is given. */
export function takesPlaceOf(later: CommandAction, earlier: CommandAction): boolean {
  if (isWhole(later)) return true;
  const zones = new Set(zonesOf(later));
  return !isWhole(earlier) && zonesOf(earlier).every((zone) => zones.has(zone));
}

function zonesOf(action: CommandAction): readonly string[] {
  return 'zones' in action ? (action.zones ?? []) : [];
}
