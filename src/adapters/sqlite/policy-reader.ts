import { type Stats, statSync } from 'node:fs';
import type { Statement } from 'better-sqlite3';
import {
  type DoorPolicy,
  type DoorRules,
  type Holder,
  type HolderCard,
  type PolicySlice,
  type PolicyVersion,
  type RecordStatus,
  rulesOfDoor,
} from '#core/access/policy.ts';
import type { SiteRules } from '#core/access/site-rules.ts';
import { Fault } from '#core/fault.ts';
import type { ClaimQuery, PolicyQuery } from '#ports/policy-lookup.ts';
import { guarded, isBlank, openDatabase, type Sqlite } from './database.ts';
import {
  type CardRow,
  groupsOf,
  type HolderRecordRow,
  type PolicyRow,
  parseRules,
  policyFormat,
  readPolicyRow,
} from './policy-format.ts';

/** The rules of one version, arranged for look-ups. */
interface LoadedRules {
  readonly version: PolicyVersion;
  /** organization by the id of each profile admitted */
  readonly organizations: ReadonlyMap<string, string>;
  readonly doors: ReadonlyMap<string, DoorRules>;
  /** the rules of a door the policy does not know */
  readonly noDoor: DoorRules;
}

interface OpenPolicy {
  readonly db: Sqlite;
  readonly identity: string;
  readonly cards: Statement<[string, string], CardRow>;
  readonly claimed: Statement<[string, string], Pick<CardRow, 'user_number'>>;
  readonly holder: Statement<[string], HolderRecordRow>;
  readonly cardsOf: Statement<[string], CardRow>;
  readonly version: Statement<[], Pick<PolicyRow, 'number' | 'installed_at_ms' | 'fresh_at_ms'>>;
  rules?: LoadedRules;
}

/**
 * Looks up what decisions need, each look-up in one read transaction and so of one version. The database may appear,
 * change or be replaced while this is open. For a thread that may wait for the disk.
 */
export class PolicyReader {
  readonly #file: string;
  readonly #rulesTried: SiteRules | undefined;
  #open: OpenPolicy | undefined;

  /** `rules` stand in for those of the database, to try them out */
  constructor(file: string, rules?: SiteRules) {
    this.#file = file;
    this.#rulesTried = rules;
  }

  /** undefined while no policy is installed. Throws database faults. */
  version(): PolicyVersion | undefined {
    return guarded(this.#file, () => {
      const open = this.#current();
      return open && this.#rules(open)?.version;
    });
  }

  /** The rules of one door; undefined while no policy is installed. Throws database faults. */
  doorPolicy(doorId: string): DoorPolicy | undefined {
    return guarded(this.#file, () => {
      const open = this.#current();
      const loaded = open && this.#rules(open);
      return loaded && { version: loaded.version, rules: rulesFor(loaded, doorId) };
    });
  }

  /** Throws `policy-absent`, or database faults. */
  slice(query: PolicyQuery): PolicySlice {
    return guarded(this.#file, () => {
      const open = this.#current();
      const slice = open?.db.transaction(() => this.#slice(open, query)).deferred();
      if (!slice) throw new Fault('policy-absent', `no policy is installed in ${this.#file}`);
      return slice;
    });
  }

  /** The slice of the one user number whose card has this diversifier. Throws as `slice` does. */
  sliceOfClaim(query: ClaimQuery): PolicySlice | undefined {
    return guarded(this.#file, () => {
      const open = this.#current();
      return open?.db
        .transaction(() => {
          const [only, another] = open.claimed.all(query.profileId, query.diversifier);
          return only && !another ? this.#slice(open, { ...query, userNumber: only.user_number }) : undefined;
        })
        .deferred();
    });
  }

  /** The cards of a holder; none where the policy knows no such holder. Throws as `slice` does. */
  cardsOf(holderId: string): readonly HolderCard[] {
    return guarded(this.#file, () => {
      const rows = this.#current()?.cardsOf.all(holderId) ?? [];
      return rows.map(cardOf);
    });
  }

  /** Whether the policy has this holder, of whatever status. Throws `policy-absent`, or database faults. */
  hasHolder(holderId: string): boolean {
    return guarded(this.#file, () => {
      const open = this.#current();
      if (!open?.version.get()) throw new Fault('policy-absent', `no policy is installed in ${this.#file}`);
      return open.holder.get(holderId) !== undefined;
    });
  }

  /** The organization whose cards of this profile are admitted. Throws as `slice` does. */
  organizationOf(profileId: string): string | undefined {
    return guarded(this.#file, () => {
      const open = this.#current();
      return open && this.#rules(open)?.organizations.get(profileId);
    });
  }

  close(): void {
    this.#open?.db.close();
    this.#open = undefined;
  }

  /** The open database, opened anew where another file has taken its place. */
  #current(): OpenPolicy | undefined {
    const identity = identityOf(this.#file);
    if (this.#open?.identity === identity) return this.#open;
    this.close();
    if (identity === undefined || isBlank(this.#file)) return undefined;
    const db = openDatabase(this.#file, policyFormat, { readonly: true });
    this.#open = {
      db,
      identity,
      cards: db.prepare('SELECT * FROM cards WHERE profile_id = ? AND user_number = ?'),
      claimed: db.prepare(
        "SELECT DISTINCT user_number FROM cards WHERE profile_id = ? AND diversifier = ? AND diversifier <> '' LIMIT 2",
      ),
      holder: db.prepare('SELECT * FROM holders WHERE holder_id = ?'),
      cardsOf: db.prepare('SELECT * FROM cards WHERE holder_id = ?'),
      version: db.prepare('SELECT number, installed_at_ms, fresh_at_ms FROM policy'),
    };
    return this.#open;
  }

  #rules(open: OpenPolicy): LoadedRules | undefined {
    const version = open.version.get();
    if (!version) return undefined;
    const loaded = open.rules?.version;
    const same =
      loaded?.number === version.number &&
      loaded.installedAtMs === version.installed_at_ms &&
      (loaded.freshAtMs ?? null) === version.fresh_at_ms;
    if (!same) {
      const row = readPolicyRow(open.db);
      if (!row) return undefined;
      open.rules = arrange(row, this.#rulesTried ?? parseRules(row));
    }
    return open.rules;
  }

  #slice(open: OpenPolicy, query: PolicyQuery): PolicySlice | undefined {
    const rules = this.#rules(open);
    if (!rules) return undefined;
    const profileAdmitted = rules.organizations.get(query.profileId) === query.organization;
    const base = { version: rules.version, rules: rulesFor(rules, query.doorId), profileAdmitted };
    const rows = profileAdmitted ? open.cards.all(query.profileId, query.userNumber) : [];
    const [anyRow] = rows;
    if (!anyRow) return { ...base, otherCards: false };

    const own = query.diversifier ?? '';
    const row = rows.find((card) => card.diversifier === own) ?? rows.find((card) => card.diversifier === '');
    const otherCards = rows.some((card) => card.diversifier !== '' && card.diversifier !== own);
    // all cards of one user number are one holder's: the import sees to it
    const holderRow = open.holder.get((row ?? anyRow).holder_id);
    return {
      ...base,
      otherCards,
      ...(row ? { card: cardOf(row) } : {}),
      ...(holderRow ? { holder: holderOf(holderRow) } : {}),
    };
  }
}

export function cardOf(row: CardRow): HolderCard {
  return {
    profileId: row.profile_id,
    userNumber: row.user_number,
    status: row.status as RecordStatus,
    ...(row.key_version === null ? {} : { keyVersion: row.key_version }),
    ...(row.diversifier === '' ? {} : { diversifier: row.diversifier }),
  };
}

export function holderOf(row: HolderRecordRow): Holder {
  return {
    holderId: row.holder_id,
    status: row.status as RecordStatus,
    groups: groupsOf(row.group_list),
    ...(row.valid_from_ms === null ? {} : { validFromMs: row.valid_from_ms }),
    ...(row.valid_until_ms === null ? {} : { validUntilMs: row.valid_until_ms }),
  };
}

export function versionOf(row: Omit<PolicyRow, 'rules'>, rules: SiteRules): PolicyVersion {
  const { organization, timeZone } = rules;
  return {
    number: row.number,
    organization,
    timeZone,
    installedAtMs: row.installed_at_ms,
    ...(row.fresh_at_ms === null ? {} : { freshAtMs: row.fresh_at_ms }),
    ...(row.expires_at_ms === null ? {} : { expiresAtMs: row.expires_at_ms }),
  };
}

function arrange(row: PolicyRow, rules: SiteRules): LoadedRules {
  return {
    version: versionOf(row, rules),
    organizations: new Map(rules.profiles.map((profile) => [profile.id, profile.organization])),
    doors: new Map(rules.doors.map((door) => [door.id, rulesOfDoor(rules, door.id)])),
    noDoor: rulesOfDoor(rules, undefined),
  };
}

function rulesFor({ doors, noDoor }: LoadedRules, doorId: string): DoorRules {
  return doors.get(doorId) ?? noDoor;
}

function identityOf(file: string): string | undefined {
  const stats: Stats | undefined = statSync(file, { throwIfNoEntry: false });
  return stats && `${stats.dev}:${stats.ino}`;
}
