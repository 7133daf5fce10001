import type { GroupRules } from '#core/access/group-facts.ts';
import { toHex } from '#core/bytes/bytes.ts';
import { digest } from '#core/crypto/digest.ts';
import { canonicalJson } from '#core/journal/canonical-json.ts';
import type { JsonValue } from '#core/journal/record.ts';

/**
 * What the rules let a terminal share, as a short text that differs where they do; undefined for nothing. Rules that share
 * nothing with it are no part of it: where it differs, all terminals of a group tell everything anew.
 */
export function groupScope(
  terminal: string,
  { terminalGroups, zones, doors, services }: GroupRules,
): string | undefined {
  const groups = terminalGroups.filter(({ terminals }) => terminals.includes(terminal));
  if (groups.length === 0) return undefined;
  const own = new Set(groups.map(({ id }) => id));
  const shared = (key: string, ...scopes: readonly ({ readonly group: string } | undefined)[]) => {
    const named = scopes.flatMap((scope) => (scope && own.has(scope.group) ? [scope.group] : []));
    return named.length === 0 ? [] : [[key, ...new Set(named)]];
  };
  const scopes = [
    ...zones.flatMap(({ id, passback, occupancy }) =>
      shared(`zone/${id}`, passback?.scope, occupancy?.scope),
    ),
    ...zones.flatMap(({ id, reentry }) => shared(`passed/zone/${id}`, reentry?.scope)),
    ...doors.flatMap(({ id, reentry }) => shared(`passed/door/${id}`, reentry?.scope)),
    ...services.flatMap((service) =>
      shared(`service/${service.id}`, 'scope' in service ? service.scope : undefined),
    ),
  ];
  const text = canonicalJson([groups, scopes] as JsonValue);
  return toHex(digest('sha-256', new TextEncoder().encode(text))).slice(0, 32);
}
