import type { Kysely } from 'kysely';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import { Administrators } from './administrators/administrators.ts';
import type { OneTimePasswords } from './administrators/one-time-passwords.ts';
import { type PasskeyPlace, Passkeys } from './administrators/passkeys.ts';
import type { Passwords } from './administrators/passwords.ts';
import { Principals } from './administrators/principals.ts';
import { type AdministratorAlarm, SignIn } from './administrators/sign-in.ts';
import { Sites } from './administrators/sites.ts';
import { AuditJournal } from './audit/audit-journal.ts';
import { CommandOrders } from './commands/command-orders.ts';
import type { CommandKeys } from './commands/command-signing.ts';
import { Places } from './distribution/places.ts';
import { GroupStore } from './groups/group-store.ts';
import { Journals } from './journal/journals.ts';
import { LiveFeed } from './journal/live-feed.ts';
import { Opened } from './opened.ts';
import type { Organization, Organizations } from './organizations/organizations.ts';
import { ChangeSets } from './permissions/change-sets.ts';
import { DistributionFeed } from './permissions/distribution-feed.ts';
import { Holders } from './permissions/holders.ts';
import { ImportRequests } from './permissions/import-requests.ts';
import { RulesVersions } from './permissions/rules-versions.ts';
import type { CommonTables } from './storage/common-tables.ts';
import { TerminalRegister } from './terminals/terminal-register.ts';

export interface ServicesParts {
  readonly organizations: Organizations;
  readonly passwords: Passwords;
  readonly oneTimePasswords: OneTimePasswords;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly alarm: (alarm: AdministratorAlarm) => void;
  /** of the role `command`; undefined where none is here */
  readonly commandKeys: (organization: string) => Promise<CommandKeys | undefined>;
  /** absent: no passkeys are used; `key` as `Passkeys` wants it */
  readonly passkeys?: { readonly place: PasskeyPlace; readonly key: Uint8Array } | undefined;
}

export type OrganizationServices = Awaited<ReturnType<typeof servicesOf>>;

/** What serves each organization; all of it works on the databases of that organization alone. */
export class Services {
  readonly passwords: Passwords;
  readonly #opened: Opened<OrganizationServices | undefined>;

  constructor(parts: ServicesParts) {
    this.passwords = parts.passwords;
    this.#opened = new Opened(async (id) => {
      const organization = await parts.organizations.find(id);
      return organization && servicesOf(organization, parts);
    });
  }

  /** undefined for an organization that is not there */
  find(organizationId: string): Promise<OrganizationServices | undefined> {
    return this.#opened.of(organizationId);
  }
}

async function servicesOf(organization: Organization, parts: ServicesParts) {
  const { organizations, passwords, oneTimePasswords, clock, entropy, alarm, commandKeys, passkeys } = parts;
  const ledger = await organizations.ledger(organization);
  const accounts = { organization: organization.id, ledger, passwords, oneTimePasswords, clock, entropy };
  return {
    organization,
    administrators: new Administrators(accounts),
    signIn: new SignIn({ ...accounts, alarm }),
    passkeys: passkeys && new Passkeys({ ...accounts, ...passkeys, alarm }),
    principals: new Principals({ ledger, clock, entropy }),
    sites: new Sites({ ledger }),
    audit: new AuditJournal({ db: ledger.db as unknown as Kysely<CommonTables>, name: organization.id }),
    holders: new Holders({ ledger }),
    rules: new RulesVersions({ organization: organization.id, ledger }),
    changeSets: new ChangeSets({ ledger, entropy }),
    lists: new ImportRequests({ ledger, entropy }),
    places: new Places({ ledger, clock }),
    commands: new CommandOrders({
      organization: organization.id,
      ledger,
      clock,
      entropy,
      keys: () => commandKeys(organization.id),
    }),
    groups: new GroupStore({ ledger, entropy }),
    terminals: new TerminalRegister({ ledger, clock, entropy }),
    feed: new DistributionFeed({ db: ledger.db }),
    live: new LiveFeed({ clock }),
    /** Rejects with faults of their database, which nothing else waits for. */
    journals: async () => new Journals({ journal: await organizations.journal(organization), ledger, clock }),
  };
}
