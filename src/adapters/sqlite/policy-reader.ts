import { type Stats, statSync } from 'node:fs';
import type { Statement, Transaction } from 'better-sqlite3';
import {
  type DoorPolicy,
  type DoorRules,
  type HolderCard,
  type PolicySlice,
  type PolicyVersion,
  rulesOfDoor,
} from '#core/access/policy.ts';
import type { SiteRules } from '#core/access/site-rules.ts';
import { fromHex } from '#core/bytes/bytes.ts';
import { Fault, isFault } from '#core/fault.ts';
import type { Manifest } from '#core/sync/manifest.ts';
import type { ClaimQuery, PolicyQuery } from '#ports/policy-lookup.ts';
import { BucketRecords } from './bucket-records.ts';
import { guarded, isBlank, openDatabase, type Sqlite, sqliteCode } from './database.ts';
import {
  altered,
  areSame,
  chunksOf,
  type ManifestRow,
  manifestAsStored,
  verifiedIndex,
} from './distributed-format.ts';
import { type HolderRecords, RowRecords } from './holder-records.ts';
import { type PolicyRow, parseRules, policyFormat, readPolicyRow } from './policy-format.ts';

/** The rules of one version, arranged for look-ups, and the records that go with them. */
interface LoadedPolicy {
  readonly version: PolicyVersion;
  readonly rules: SiteRules;
  /** organization by the id of each profile admitted */
  readonly organizations: ReadonlyMap<string, string>;
  readonly doors: ReadonlyMap<string, DoorRules>;
  /** the rules of a door the policy does not know */
  readonly noDoor: DoorRules;
  readonly records: HolderRecords;
  /** of a policy that a server distributes */
  readonly signed?: {
    readonly document: Uint8Array;
    readonly manifest: Manifest;
    readonly index: Uint8Array;
  };
}

interface OpenPolicy {
  readonly db: Sqlite;
  readonly identity: string;
  readonly manifest: Statement<[], ManifestRow>;
  readonly version: Statement<[], Pick<PolicyRow, 'number' | 'installed_at_ms' | 'fresh_at_ms'>>;
  /** runs what it is given in one read transaction; made once, for it takes as long as a look-up to make */
  readonly atOnce: Transaction<(read: () => void) => void>;
  loaded?: LoadedPolicy;
}

/**
 * Looks up what decisions need, each look-up in one read transaction and so of one version. The database may appear,
 * change or be replaced while this is open. For a thread that may wait for the disk.
 */
export class PolicyReader {
  readonly #file: string;
  readonly #rulesTried: SiteRules | undefined;
  readonly #signedOnly: boolean;
  readonly #vouch: (document: Uint8Array) => Manifest;
  #open: OpenPolicy | undefined;

  /** `rules` stand in for those of the database, to try them out */
  constructor(
    file: string,
    options: {
      readonly rules?: SiteRules | undefined;
      /** only what a server has signed counts, and this says whether it has */
      readonly vouch?: (document: Uint8Array) => Manifest;
    } = {},
  ) {
    this.#file = file;
    this.#rulesTried = options.rules;
    this.#signedOnly = options.vouch !== undefined;
    this.#vouch = options.vouch ?? manifestAsStored;
  }

  /** undefined while no policy is installed. Throws database faults. */
  version(): PolicyVersion | undefined {
    return this.#read((loaded) => loaded.version);
  }

  /** Undefined while no policy is installed. Throws database faults. */
  rules(): SiteRules | undefined {
    return this.#read(({ rules }) => rules);
  }

  /** The rules of one door; undefined while no policy is installed. Throws database faults. */
  doorPolicy(doorId: string): DoorPolicy | undefined {
    return this.#read((loaded) => ({ version: loaded.version, rules: rulesFor(loaded, doorId) }));
  }

  /** Throws `policy-absent`, `policy-altered`, or database faults. */
  slice(query: PolicyQuery): PolicySlice {
    const slice = this.#read((loaded) => sliceOf(loaded, query));
    if (!slice) throw this.#absent();
    return slice;
  }

  /** The slice of the one user number whose card has this diversifier. Throws as `slice` does. */
  sliceOfClaim(query: ClaimQuery): PolicySlice | undefined {
    return this.#read((loaded) => {
      const [only, another] = loaded.records.claimed(query.profileId, query.diversifier);
      return only !== undefined && another === undefined
        ? sliceOf(loaded, { ...query, userNumber: only })
        : undefined;
    });
  }

  /** The records of the version installed, all of them of one; undefined while none is. Throws as `slice` does. */
  withRecords<T>(use: (records: HolderRecords) => T): T | undefined {
    return this.#read(({ records }) => use(records));
  }

  /** The cards of a holder; none where the policy knows no such holder. Throws as `slice` does. */
  cardsOf(holderId: string): readonly HolderCard[] {
    return this.#read(({ records }) => records.cardsOf(holderId)) ?? [];
  }

  /** Whether the policy has this holder, of whatever status. Throws `policy-absent`, or database faults. */
  hasHolder(holderId: string): boolean {
    const has = this.#read(({ records }) => records.holder(holderId) !== undefined);
    if (has === undefined) throw this.#absent();
    return has;
  }

  /** The organization whose cards of this profile are admitted. Throws as `slice` does. */
  organizationOf(profileId: string): string | undefined {
    return this.#read(({ organizations }) => organizations.get(profileId));
  }

  close(): void {
    this.#open?.db.close();
    this.#open = undefined;
  }

  /** In one read transaction, and so of one version; undefined while none is installed. */
  #read<T>(use: (loaded: LoadedPolicy) => T): T | undefined {
    try {
      return guarded(this.#file, () => this.#readAtOnce(use));
    } catch (error) {
      const code = sqliteCode(error);
      const failed = !isFault(error) && code?.startsWith('SQLITE_IOERR') === true;
      // a disk that was away for a moment is there again for what is opened anew alone
      if (failed || isFault(error, 'database-invalid')) this.close();
      if (!failed) throw error;
      throw new Fault('database-invalid', `${this.#file} cannot be read (${code})`, { cause: error });
    }
  }

  #readAtOnce<T>(use: (loaded: LoadedPolicy) => T): T | undefined {
    const open = this.#current();
    if (!open) return undefined;
    let found: T | undefined;
    open.atOnce.deferred(() => {
      const loaded = this.#load(open);
      found = loaded && use(loaded);
    });
    return found;
  }

  #absent(): Fault {
    return new Fault('policy-absent', `no policy is installed in ${this.#file}`);
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
      manifest: db.prepare('SELECT document, installed_at_ms FROM manifest'),
      version: db.prepare('SELECT number, installed_at_ms, fresh_at_ms FROM policy'),
      atOnce: db.transaction((read: () => void) => read()),
    };
    return this.#open;
  }

  #load(open: OpenPolicy): LoadedPolicy | undefined {
    const signed = open.manifest.get();
    if (signed) return this.#loadSigned(open, signed);
    return this.#signedOnly ? undefined : this.#loadImported(open);
  }

  #loadImported(open: OpenPolicy): LoadedPolicy | undefined {
    const version = open.version.get();
    if (!version) return undefined;
    const { loaded } = open;
    const same =
      !loaded?.signed &&
      loaded?.version.number === version.number &&
      loaded.version.installedAtMs === version.installed_at_ms &&
      (loaded.version.freshAtMs ?? null) === version.fresh_at_ms;
    if (!same) {
      const row = readPolicyRow(open.db);
      if (!row) return undefined;
      const rules = this.#rulesTried ?? parseRules(row);
      open.loaded = { ...arrange(rules), version: versionOf(row, rules), records: new RowRecords(open.db) };
    }
    return open.loaded;
  }

  /** What has the hash that the last manifest named too is not read again: it was verified then, and is in memory. */
  #loadSigned(open: OpenPolicy, { document, installed_at_ms: installedAtMs }: ManifestRow): LoadedPolicy {
    const { loaded } = open;
    if (loaded?.signed && areSame(loaded.signed.document, document)) return loaded;
    const manifest = this.#vouch(document);
    const before = loaded?.signed;
    const sameRules = loaded && before?.manifest.rulesHash === manifest.rulesHash;
    const sameHolders = loaded && before?.manifest.holdersRoot === manifest.holdersRoot;
    const arranged = sameRules ? loaded : arrange(this.#rulesTried ?? signedRules(open.db, manifest));
    const index = sameHolders ? before.index : verifiedIndex(open.db, manifest);
    open.loaded = {
      ...arranged,
      version: signedVersion(manifest, arranged.rules, installedAtMs),
      records: sameHolders ? loaded.records : new BucketRecords(open.db, { bits: manifest.bits, index }),
      signed: { document, manifest, index },
    };
    return open.loaded;
  }
}

function sliceOf(loaded: LoadedPolicy, query: PolicyQuery): PolicySlice {
  const { profileId, userNumber, diversifier: own } = query;
  const profileAdmitted = loaded.organizations.get(profileId) === query.organization;
  const base = { version: loaded.version, rules: rulesFor(loaded, query.doorId), profileAdmitted };
  if (!profileAdmitted) return { ...base, otherCards: false };
  const { cards, holder } = loaded.records.find(profileId, userNumber);
  const card =
    cards.find(({ diversifier }) => diversifier === own) ??
    cards.find(({ diversifier }) => diversifier === undefined);
  const otherCards = cards.some(({ diversifier }) => diversifier !== undefined && diversifier !== own);
  return { ...base, otherCards, ...(card && { card }), ...(holder && { holder }) };
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

/** Of what is signed only the time of the installation is not: it never makes a policy younger than its manifest. */
function signedVersion(
  { version, issuedAtMs, expiresAtMs }: Manifest,
  { organization, timeZone }: SiteRules,
  installedAtMs: number,
): PolicyVersion {
  return { number: version, organization, timeZone, installedAtMs, freshAtMs: issuedAtMs, expiresAtMs };
}

/** They were read strictly before they came there; the hash says that they are the same. */
function signedRules(db: Sqlite, { rulesHash }: Manifest): SiteRules {
  const bytes = chunksOf(db)(fromHex(rulesHash));
  if (!bytes) throw altered('its rules are missing');
  return (JSON.parse(Buffer.from(bytes).toString()) as { readonly rules: SiteRules }).rules;
}

function arrange(rules: SiteRules): Pick<LoadedPolicy, 'rules' | 'organizations' | 'doors' | 'noDoor'> {
  return {
    rules,
    organizations: new Map(rules.profiles.map((profile) => [profile.id, profile.organization])),
    doors: new Map(rules.doors.map((door) => [door.id, rulesOfDoor(rules, door.id)])),
    noDoor: rulesOfDoor(rules, undefined),
  };
}

function rulesFor({ doors, noDoor }: LoadedPolicy, doorId: string): DoorRules {
  return doors.get(doorId) ?? noDoor;
}

function identityOf(file: string): string | undefined {
  const stats: Stats | undefined = statSync(file, { throwIfNoEntry: false });
  return stats && `${stats.dev}:${stats.ino}`;
}
