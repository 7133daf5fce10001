import { refuseIndividualNumber } from '#core/card/user-number.ts';
import { Fault } from '#core/fault.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { Actor, Change, Ledger } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import { revokeTokensOf } from './api-tokens.ts';
import type { OneTimePasswords } from './one-time-passwords.ts';
import type { Passwords } from './passwords.ts';
import { type Role, scopesOf } from './roles.ts';

export interface Administrator {
  readonly id: string;
  readonly name: string;
  readonly roles: readonly Role[];
  /** that a facilities administrator looks after */
  readonly sites: readonly string[];
  readonly enabled: boolean;
  /** for when nobody else can sign in: needs no one-time password, and every use is an alarm */
  readonly breakGlass: boolean;
  readonly revision: number;
}

/** What is shown once, to be handed over. */
export interface Credentials {
  readonly password: string;
  /** for the authenticator app (otpauth:); a break-glass account has none */
  readonly oneTimePasswordAddress?: string;
}

export interface AdministratorsParts {
  readonly organization: string;
  readonly ledger: Ledger<PermissionsTables>;
  readonly passwords: Passwords;
  readonly oneTimePasswords: OneTimePasswords;
  readonly entropy: Entropy;
}

type Stored = PermissionsTables['administrators'];
type PermissionsChange = Change<PermissionsTables>;

/** The local accounts of one organization. */
export class Administrators {
  readonly #parts: AdministratorsParts;

  constructor(parts: AdministratorsParts) {
    this.#parts = parts;
  }

  async list(): Promise<readonly Administrator[]> {
    const { db } = this.#parts.ledger;
    const rows = await db.selectFrom('administrators').selectAll().orderBy('administrator_id').execute();
    return rows.map(shownAs);
  }

  /** Makes an account with credentials of its own. Rejects with `argument-invalid` where the id is taken. */
  async create(
    account: Pick<Administrator, 'id' | 'name' | 'roles' | 'sites' | 'breakGlass'>,
    actor: Actor,
  ): Promise<{ readonly administrator: Administrator; readonly credentials: Credentials }> {
    for (const one of [account.name, ...account.sites]) refuseIndividualNumber(one, 'a name');
    const made = await this.#makeCredentials(account.id, account.breakGlass);
    return this.#parts.ledger.change(actor, async (change) => {
      const taken = await find(change, account.id);
      if (taken) throw new Fault('argument-invalid', `there is an administrator "${account.id}" already`);
      const row: Stored = {
        administrator_id: account.id,
        name: account.name,
        roles: JSON.stringify(account.roles),
        sites: JSON.stringify(account.sites),
        ...made.stored,
        enabled: 1,
        break_glass: account.breakGlass ? 1 : 0,
        wrong_passwords: 0,
        failures: 0,
        locked_until_ms: 0,
        revision: change.changeNumber,
      };
      await change.db.insertInto('administrators').values(row).execute();
      const { id, roles, sites, breakGlass } = account;
      await change.audit({
        action: 'administrator-made',
        body: { administrator: id, roles, sites, breakGlass },
        personal: { name: account.name },
      });
      return { administrator: shownAs(row), credentials: made.credentials };
    });
  }

  /**
   * Gives an account roles, sites, a name, or switches it on or off; its sessions end. Where it may make no API tokens
   * any more, those that it has made are revoked, which its entry in the record names. Undefined where there is none,
   * or where it has changed since `revision`. Rejects with `argument-invalid` where nobody would be left who may
   * administer.
   */
  async update(
    id: string,
    revision: number,
    to: Partial<Pick<Administrator, 'name' | 'roles' | 'sites' | 'enabled'>>,
    actor: Actor,
  ): Promise<Administrator | undefined> {
    for (const one of [to.name ?? '', ...(to.sites ?? [])]) refuseIndividualNumber(one, 'a name');
    return this.#parts.ledger.change(actor, async (change) => {
      const before = await find(change, id);
      if (!before || before.revision !== revision) return change.abandon(undefined);
      const row: Stored = {
        ...before,
        name: to.name ?? before.name,
        roles: to.roles ? JSON.stringify(to.roles) : before.roles,
        sites: to.sites ? JSON.stringify(to.sites) : before.sites,
        enabled: (to.enabled ?? before.enabled === 1) ? 1 : 0,
        revision: change.changeNumber,
      };
      await change.db.updateTable('administrators').set(row).where('administrator_id', '=', id).execute();
      await endSessions(change, id);
      await refuseNobodyLeft(change);
      const revokedTokens = mayMakeTokens(shownAs(row)) ? [] : await revokeTokensOf(change, id);
      const { name, ...changed } = to;
      await change.audit({
        action: 'administrator-changed',
        body: { administrator: id, ...changed, revokedTokens },
        ...(name !== undefined && { personal: { name } }),
      });
      return shownAs(row);
    });
  }

  /**
   * Makes new credentials for an account whose own are lost; its sessions end, its passkeys are removed and its lock-out
   * is lifted.
   */
  async renewCredentials(id: string, actor: Actor): Promise<Credentials | undefined> {
    const { db } = this.#parts.ledger;
    const known = await db
      .selectFrom('administrators')
      .select('break_glass')
      .where('administrator_id', '=', id)
      .executeTakeFirst();
    if (!known) return undefined;
    const made = await this.#makeCredentials(id, known.break_glass === 1);
    return this.#parts.ledger.change(actor, async (change) => {
      await change.db
        .updateTable('administrators')
        .set({
          ...made.stored,
          wrong_passwords: 0,
          failures: 0,
          locked_until_ms: 0,
          revision: change.changeNumber,
        })
        .where('administrator_id', '=', id)
        .execute();
      await endSessions(change, id);
      const passkeys = await change.db
        .deleteFrom('passkeys')
        .where('administrator_id', '=', id)
        .executeTakeFirst();
      await change.audit({
        action: 'administrator-credentials-renewed',
        body: { administrator: id, passkeysRemoved: Number(passkeys.numDeletedRows) },
      });
      return made.credentials;
    });
  }

  async #makeCredentials(id: string, breakGlass: boolean) {
    const { organization, entropy, passwords, oneTimePasswords } = this.#parts;
    const password = randomPassword(entropy, breakGlass ? 30 : 20);
    const hash = await passwords.hash(password);
    if (hash === undefined)
      throw new Fault('deadline-exceeded', 'too many sign-ins are under way; try again');
    const totp = breakGlass ? undefined : oneTimePasswords.make(accountName(organization, id), 'Kazasu');
    return {
      credentials: { password, ...(totp && { oneTimePasswordAddress: totp.address }) },
      stored: { password: hash, totp_secret: totp?.sealed ?? null, totp_step: 0 },
    };
  }
}

/** What a one-time password is bound to. */
export function accountName(organization: string, administrator: string): string {
  return `${organization}/${administrator}`;
}

export function shownAs(row: Stored): Administrator {
  return {
    id: row.administrator_id,
    name: row.name,
    roles: JSON.parse(row.roles) as Role[],
    sites: JSON.parse(row.sites) as string[],
    enabled: row.enabled === 1,
    breakGlass: row.break_glass === 1,
    revision: row.revision,
  };
}

async function find({ db }: PermissionsChange, id: string): Promise<Stored | undefined> {
  return db.selectFrom('administrators').selectAll().where('administrator_id', '=', id).executeTakeFirst();
}

async function endSessions({ db }: PermissionsChange, id: string): Promise<void> {
  await db.deleteFrom('sessions').where('administrator_id', '=', id).execute();
}

function mayMakeTokens({ enabled, roles }: Administrator): boolean {
  return enabled && scopesOf(roles).has('administrators:write');
}

async function refuseNobodyLeft({ db }: PermissionsChange): Promise<void> {
  const rows = await db.selectFrom('administrators').selectAll().where('enabled', '=', 1).execute();
  const left = rows
    .map(shownAs)
    .some(({ roles, breakGlass }) => !breakGlass && roles.includes('organization-admin'));
  if (!left) {
    throw new Fault(
      'argument-invalid',
      'nobody would be left who administers the organization; name another first',
    );
  }
}

/** Letters and digits that cannot be mistaken for one another, 5 bits each, in groups of five. */
function randomPassword(entropy: Entropy, length: number): string {
  const alphabet = 'abcdefghjkmnpqrstuvwxyz23456789ACD'.slice(0, 32);
  const letters = [...entropy.bytes(length)].map((byte) => alphabet[byte % 32]).join('');
  return (letters.match(/.{5}/g) ?? []).join('-');
}
