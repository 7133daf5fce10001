import { z } from 'zod';
import { readHolderFile } from '#adapters/csv/holder-file.ts';
import type { HolderRow } from '#core/access/holder-row.ts';
import { type SiteRules, siteRulesSchema } from '#core/access/site-rules.ts';
import { parseYaml } from '#core/config/yaml-document.ts';
import { Fault } from '#core/fault.ts';
import type { EnrolmentFile } from '#core/sync/enrolment.ts';
import type { Principal } from '#issuance/administrators/principals.ts';
import { scopes } from '#issuance/administrators/roles.ts';
import { prepareEnrolment } from '#issuance/enrolment-file.ts';
import type { Issuance } from '#issuance/main.ts';
import type { HolderState } from '#issuance/permissions/holder-state.ts';
import type { OrganizationServices } from '#issuance/services.ts';
import { type RuleSet, ruleSets } from '#web/site/api.ts';
import { readTextFile, shipped } from './files.ts';

/** What the site asks of the server's process. */
export type IssuanceOfficeOffer = {
  readonly enrol: (terminal: string) => Promise<EnrolmentFile>;
  /** of the shipped rules those in force; null for others */
  readonly rules: () => Promise<InForce>;
  readonly install: (rules: RuleSet) => Promise<InForce & { readonly changeNumber: number }>;
  /** by terminal the version that has every change up to this number; undefined while one is still being built */
  readonly versions: (changeNumber: number) => Promise<Readonly<Record<string, number>> | undefined>;
  readonly stop: () => void;
};

/** What the server's process tells the site. */
export type SiteOffer = { readonly ready: () => void };

export interface InForce {
  readonly rules: RuleSet | null;
  readonly version: number;
}

/** The organization of the deck: that of its rules. */
export const siteOrganization = 'kazasu-city';
const actor = { id: 'site', via: 'server' } as const;
const principal: Principal = { actor, scopes: new Set(scopes), tokenHash: '' };

/** The administrator of the simulated building, in the process of its server. */
export class IssuanceOffice {
  readonly #issuance: Issuance;

  constructor(issuance: Issuance) {
    this.#issuance = issuance;
  }

  /** Enters the shipped rules and holders where nothing is yet. */
  async prepare(): Promise<void> {
    const { organizations } = this.#issuance;
    if (!(await organizations.find(siteOrganization)))
      await organizations.create({ id: siteOrganization, name: 'かざす市' }, actor);
    const { rules, holders } = await this.#services();
    if ((await rules.list()).length === 0) await this.install('schedule');
    if ((await holders.page('', 1, {})).length === 0) await this.#enterHolders();
  }

  enrol(terminal: string): Promise<EnrolmentFile> {
    return prepareEnrolment(this.#issuance, { organization: siteOrganization, terminal }, actor);
  }

  async rules(): Promise<InForce> {
    const { rules } = await this.#services();
    const inForce = (await rules.list()).find(({ state }) => state === 'in-force');
    const found = inForce && (await rules.find(inForce.version));
    let known: RuleSet | null = null;
    for (const name of ruleSets) {
      if (JSON.stringify(await this.#shipped(name)) === JSON.stringify(found?.rules)) known = name;
    }
    return { rules: known, version: inForce?.version ?? 0 };
  }

  async install(name: RuleSet): Promise<InForce & { readonly changeNumber: number }> {
    const { rules, feed } = await this.#services();
    const file = rulesFile(name);
    const document = parseYaml(await readTextFile(file), file, z.json(), 'config-invalid');
    const editedVersion = (await rules.list())[0]?.version;
    const made = await rules.make(
      { document, ...(editedVersion !== undefined && { editedVersion }) },
      principal.actor,
    );
    if (made.kind !== 'made') throw new Fault('policy-import-refused', `${file} was refused: ${made.kind}`);
    return { rules: name, version: made.version.version, changeNumber: await feed.changeNumber() };
  }

  async versions(changeNumber: number): Promise<Readonly<Record<string, number>> | undefined> {
    const { organizations } = this.#issuance;
    const organization = await organizations.find(siteOrganization);
    if (!organization) return undefined;
    const { db } = await organizations.ledger(organization);
    const rows = await db
      .selectFrom('terminal_policies')
      .select(['terminal_id', 'version', 'change_number'])
      .execute();
    if (rows.length === 0 || rows.some((row) => row.version === 0 || row.change_number < changeNumber))
      return undefined;
    return Object.fromEntries(rows.map((row) => [row.terminal_id, row.version]));
  }

  async #enterHolders(): Promise<void> {
    const { holders } = await this.#services();
    const file = shipped('./deck/holders.csv');
    const rows: HolderRow[] = [];
    const rules = await this.#shipped('schedule');
    for await (const some of readHolderFile({ file, encoding: 'utf-8', mode: 'complete', rules })) {
      for (const row of some) {
        if ('text' in row) throw new Fault('policy-import-refused', `${file}, line ${row.line}: ${row.text}`);
        rows.push(row);
      }
    }
    for (const [holderId, own] of Map.groupBy(rows, (row) => row.holderId)) {
      const { kind } = await holders.put(holderId, holderOf(own), undefined, principal);
      if (kind !== 'done')
        throw new Fault('policy-import-refused', `${file}: ${holderId} is refused (${kind})`);
    }
  }

  async #shipped(name: RuleSet): Promise<SiteRules> {
    const file = rulesFile(name);
    return parseYaml(await readTextFile(file), file, siteRulesSchema, 'config-invalid');
  }

  async #services(): Promise<OrganizationServices> {
    const services = await this.#issuance.services.find(siteOrganization);
    if (!services) throw new Error('the organization of the site is gone');
    return services;
  }
}

function holderOf(rows: readonly HolderRow[]): HolderState {
  const [first] = rows;
  return {
    status: first?.status ?? 'active',
    validFromMs: first?.validFromMs ?? null,
    validUntilMs: first?.validUntilMs ?? null,
    groups: first?.groups ?? [],
    cards: rows.map(
      ({ profileId, userNumber, diversifier = '', cardStatus = 'active', keyVersion = null }) => ({
        ...{ profileId, userNumber, diversifier, keyVersion },
        status: cardStatus,
      }),
    ),
  };
}

function rulesFile(rules: RuleSet): string {
  return shipped(`./deck/rules-${rules}.yaml`);
}
