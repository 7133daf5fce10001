import type { Kysely } from 'kysely';
import { id } from '#core/access/rule-config.ts';
import { refuseIndividualNumber } from '#core/card/user-number.ts';
import { Fault } from '#core/fault.ts';
import { organizationName } from '#core/sync/terminal-identity.ts';
import type { Clock } from '#ports/clock.ts';
import type { OrganizationPlace } from '#ports/database-place.ts';
import type { Entropy } from '#ports/entropy.ts';
import { AuditJournal } from '../audit/audit-journal.ts';
import type { CommonTables } from '../storage/common-tables.ts';
import type { Databases, JournalDatabase } from '../storage/databases.ts';
import { type Actor, Ledger } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';

/** An id of an administrator or a site. */
export const shortId = id.max(32, 'must be at most 32 characters');

/** A tenant (団体): a municipality, a state body, a company. */
export interface Organization extends OrganizationPlace {
  readonly name: string;
}

/** Which organizations there are, and the ledger of each. */
export class Organizations {
  readonly #databases: Databases;
  readonly #clock: Clock;
  readonly #entropy: Entropy;
  readonly #known = new Map<string, Organization>();
  readonly #listeners = new Set<(organization: string) => void>();

  constructor(parts: { readonly databases: Databases; readonly clock: Clock; readonly entropy: Entropy }) {
    this.#databases = parts.databases;
    this.#clock = parts.clock;
    this.#entropy = parts.entropy;
  }

  /** Makes an organization with its databases. Rejects with `argument-invalid` where there is one with this id. */
  async create(
    { id, name }: { readonly id: string; readonly name: string },
    actor: Actor,
  ): Promise<Organization> {
    // its authority and the topics of its terminals carry it
    const checked = organizationName.safeParse(id);
    if (!checked.success) {
      throw new Fault(
        'argument-invalid',
        `an organization's id ${checked.error.issues[0]?.message ?? 'is wrong'}`,
      );
    }
    refuseIndividualNumber(name, 'the name');
    const ledger = await this.#platformLedger();
    const organization = await ledger.change(actor, async ({ db, atMs, audit }) => {
      const known = await db.selectFrom('organizations').select(['organization_id', 'number']).execute();
      if (known.some(({ organization_id }) => organization_id === id)) {
        throw new Fault('argument-invalid', `there is an organization "${id}" already`);
      }
      const number = 1 + Math.max(0, ...known.map((one) => one.number));
      await db
        .insertInto('organizations')
        .values({ organization_id: id, number, name, made_at_ms: atMs })
        .execute();
      await audit({ action: 'organization-made', body: { organization: id, name } });
      return { id, number, name };
    });
    await this.#databases.permissions(organization);
    await this.#databases.journal(organization);
    return organization;
  }

  async list(): Promise<readonly Organization[]> {
    const db = await this.#databases.platform();
    const rows = await db.selectFrom('organizations').selectAll().orderBy('organization_id').execute();
    return rows.map(({ organization_id, number, name }) => ({ id: organization_id, number, name }));
  }

  /** undefined where there is none with this id */
  async find(organizationId: string): Promise<Organization | undefined> {
    const known = this.#known.get(organizationId);
    if (known) return known;
    const db = await this.#databases.platform();
    const row = await db
      .selectFrom('organizations')
      .selectAll()
      .where('organization_id', '=', organizationId)
      .executeTakeFirst();
    if (!row) return undefined;
    const organization = { id: row.organization_id, number: row.number, name: row.name };
    this.#known.set(organizationId, organization);
    return organization;
  }

  async ledger(organization: OrganizationPlace): Promise<Ledger<PermissionsTables>> {
    const { clock, entropy } = { clock: this.#clock, entropy: this.#entropy };
    const changed = () => {
      for (const listener of this.#listeners) listener(organization.id);
    };
    return new Ledger({ db: await this.#databases.permissions(organization), clock, entropy, changed });
  }

  /** Has `listener` told of each change of an organization that takes effect by this thread. */
  onChange(listener: (organization: string) => void): void {
    this.#listeners.add(listener);
  }

  /** The journals of its terminals. */
  journal(organization: OrganizationPlace): Promise<JournalDatabase> {
    return this.#databases.journal(organization);
  }

  /** What was done to the platform: organizations made. */
  async platformAudit(): Promise<AuditJournal> {
    const db = (await this.#databases.platform()) as unknown as Kysely<CommonTables>;
    return new AuditJournal({ db, name: 'the platform' });
  }

  async #platformLedger() {
    const { clock, entropy } = { clock: this.#clock, entropy: this.#entropy };
    return new Ledger({ db: await this.#databases.platform(), clock, entropy });
  }
}
