import type { Holder, HolderCard } from '#core/access/policy.ts';
import type { RulesPermission, SiteRules } from '#core/access/site-rules.ts';
import { Fault } from '#core/fault.ts';
import { guarded, openDatabase, type Sqlite } from './database.ts';
import {
  type CardRow,
  groupsOf,
  type HolderRecordRow,
  parseRules,
  policyFormat,
  readPolicyRow,
} from './policy-format.ts';
import { cardOf, holderOf, versionOf } from './policy-reader.ts';

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
  const db = openDatabase(file, policyFormat, { readonly: true });
  try {
    return guarded(file, () => {
      const row = readPolicyRow(db);
      if (!row) throw new Fault('policy-absent', `no policy is installed in ${file}`);
      const rules = parseRules(row);
      return { version: versionOf(row, rules), holders: holdersWith(db, rules, query) };
    });
  } finally {
    db.close();
  }
}

function holdersWith(
  db: Sqlite,
  rules: SiteRules,
  query: { readonly userNumber: string; readonly profileId?: string | undefined },
): readonly HolderInspection[] {
  const cards = db.prepare<[string, string], CardRow>(
    'SELECT * FROM cards WHERE profile_id = ? AND user_number = ?',
  );
  const profiles = query.profileId === undefined ? rules.profiles.map((one) => one.id) : [query.profileId];
  const ids = new Set(
    profiles.flatMap((profile) => cards.all(profile, query.userNumber).map((card) => card.holder_id)),
  );
  return [...ids].flatMap((id) => {
    const row = db.prepare<[string], HolderRecordRow>('SELECT * FROM holders WHERE holder_id = ?').get(id);
    return row ? [inspect(db, rules, row)] : [];
  });
}

function inspect(db: Sqlite, rules: SiteRules, row: HolderRecordRow): HolderInspection {
  const groups = groupsOf(row.group_list);
  const cards = db
    .prepare<[string], CardRow>(
      'SELECT * FROM cards WHERE holder_id = ? ORDER BY profile_id, user_number, diversifier',
    )
    .all(row.holder_id);
  const permissions = rules.permissions.filter(({ group }) => groups.includes(group));
  return { holder: holderOf(row), cards: cards.map(cardOf), groups, permissions };
}
