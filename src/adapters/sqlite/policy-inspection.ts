import { existsSync } from 'node:fs';
import type { Holder, HolderCard } from '#core/access/policy.ts';
import type { RulesPermission, SiteRules } from '#core/access/site-rules.ts';
import { Fault } from '#core/fault.ts';
import { unreadable } from '#core/file-fault.ts';
import type { HolderRecords } from './holder-records.ts';
import { PolicyReader } from './policy-reader.ts';

/** A holder with everything the policy says of them. */
export interface HolderInspection {
  readonly holder: Holder;
  readonly cards: readonly HolderCard[];
  readonly groups: readonly string[];
  /** of the groups; without a schedule at any time */
  readonly permissions: readonly RulesPermission[];
}

/** Looks up holders for a person at the command line; opens the database for the one question. */
export function inspectUser(
  file: string,
  query: { readonly userNumber: string; readonly profileId?: string | undefined },
) {
  if (!existsSync(file)) throw unreadable(file, { code: 'ENOENT' });
  const reader = new PolicyReader(file);
  try {
    const [version, rules] = [reader.version(), reader.rules()];
    if (!version || !rules) throw new Fault('policy-absent', `no policy is installed in ${file}`);
    return { version, holders: reader.withRecords((records) => holdersWith(records, rules, query)) ?? [] };
  } finally {
    reader.close();
  }
}

function holdersWith(
  records: HolderRecords,
  rules: SiteRules,
  query: { readonly userNumber: string; readonly profileId?: string | undefined },
): readonly HolderInspection[] {
  const profiles = query.profileId === undefined ? rules.profiles.map((one) => one.id) : [query.profileId];
  const found = profiles.flatMap((profile) => records.find(profile, query.userNumber).holder ?? []);
  const holders = new Map(found.map((holder) => [holder.holderId, holder]));
  return [...holders.values()].map((holder) => ({
    holder,
    cards: records.cardsOf(holder.holderId),
    groups: holder.groups,
    permissions: rules.permissions.filter(({ group }) => holder.groups.includes(group)),
  }));
}
