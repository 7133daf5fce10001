import type { GroupRules } from '#core/access/group-facts.ts';
import type { PolicyLookup } from '#ports/policy-lookup.ts';

/** What the rules in force say of groups of terminals, as far as they bear on these doors. Rejects as `doorPolicy`. */
export async function groupRulesOf(
  policy: Pick<PolicyLookup, 'doorPolicy'>,
  doors: readonly { readonly doorId: string }[],
): Promise<GroupRules | undefined> {
  const found = await Promise.all(doors.map(({ doorId }) => policy.doorPolicy(doorId)));
  const [first] = found;
  if (!first) return undefined;
  const { zones, site } = first.rules;
  return {
    zones: [...zones.values()],
    doors: found.flatMap((one) => one?.rules.door ?? []),
    services: site.services,
    terminalGroups: site.terminalGroups,
  };
}
