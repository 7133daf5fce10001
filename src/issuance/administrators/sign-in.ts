import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { Actor, Change, Ledger } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import { accountName } from './administrators.ts';
import { makeToken } from './bearer-token.ts';
import type { OneTimePasswords } from './one-time-passwords.ts';
import type { Passwords } from './passwords.ts';

/** so many wrong one-time passwords in a row cost nothing */
const freeFailures = 4;
const firstLockMs = 30_000;
const longestLockMs = 900_000;

const sessionMs = 12 * 3_600_000;
const breakGlassSessionMs = 3_600_000;

export interface SignInRequest {
  readonly administrator: string;
  readonly password: string;
  readonly oneTimePassword?: string;
}

export type SignInOutcome =
  | { readonly kind: 'signed-in'; readonly token: string; readonly expiresAtMs: number }
  /** wrong, locked or not there: the answer is the same, so that nobody learns which accounts there are */
  | { readonly kind: 'refused' }
  /** too many are being checked; nothing was counted against the account */
  | { readonly kind: 'busy' };

/** Something that people must hear of at once. */
export interface AdministratorAlarm {
  readonly kind:
    | 'break-glass-used'
    /** somebody who knows the password tries one-time passwords */
    | 'account-locked'
    | 'passwords-tried'
    /** two authenticators have the same passkey */
    | 'passkey-copied';
  readonly organization: string;
  readonly administrator: string;
}

export interface SignInParts {
  readonly organization: string;
  readonly ledger: Ledger<PermissionsTables>;
  readonly passwords: Passwords;
  readonly oneTimePasswords: OneTimePasswords;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly alarm: (alarm: AdministratorAlarm) => void;
}

type Account = PermissionsTables['administrators'];

/** Signs administrators of one organization in and out. */
export class SignIn {
  readonly #parts: SignInParts;

  constructor(parts: SignInParts) {
    this.#parts = parts;
  }

  /**
   * Checks the password, then the one-time password, for whoever asks from the address `peer`. Only whoever knows the password can lock an account: passwords are
   * random and far too long to be found by trying. Each try of a one-time password is counted before it is checked, so
   * that tries at once gain nothing.
   */
  async signIn(request: SignInRequest, peer: string): Promise<SignInOutcome> {
    const { passwords, organization, alarm } = this.#parts;
    const known = await this.#account(request.administrator);
    const password = await passwords.check(request.password, known?.password, peer);
    if (password === 'busy') return { kind: 'busy' };
    if (!known) return { kind: 'refused' };
    if (password === 'wrong') return this.#wrongPassword(known);
    const account = known.break_glass === 1 ? known : await this.#countTry(known);
    if (!account) return { kind: 'refused' };
    const step = this.#stepOf(account, request.oneTimePassword);
    if (step === undefined) return this.#refuse(account);
    const outcome = await this.#open(account, step);
    if (outcome.kind === 'signed-in' && account.break_glass === 1) {
      alarm({ kind: 'break-glass-used', organization, administrator: account.administrator_id });
    }
    return outcome;
  }

  /** Ends the session of `tokenHash`. */
  async signOut(tokenHash: string, actor: Actor): Promise<void> {
    await this.#parts.ledger.change(actor, async ({ db, audit }) => {
      await db.deleteFrom('sessions').where('token_hash', '=', tokenHash).execute();
      await audit({ action: 'signed-out' });
    });
  }

  async #account(administrator: string): Promise<Account | undefined> {
    return this.#parts.ledger.db
      .selectFrom('administrators')
      .selectAll()
      .where('administrator_id', '=', administrator)
      .where('enabled', '=', 1)
      .executeTakeFirst();
  }

  /** The account with the try counted; undefined for one that is locked, or was changed since its password was checked. */
  async #countTry({ administrator_id, password }: Account): Promise<Account | undefined> {
    const { ledger, clock } = this.#parts;
    const now = clock.utcMs();
    return ledger.db.transaction().execute(async (db) => {
      const account = await db
        .updateTable('administrators')
        .set((column) => ({ failures: column('failures', '+', 1) }))
        .where('administrator_id', '=', administrator_id)
        .where('password', '=', password)
        .where('enabled', '=', 1)
        .where('locked_until_ms', '<=', now)
        .returningAll()
        .executeTakeFirst();
      const lockMs = lockAfter(account?.failures ?? 0);
      if (lockMs > 0) {
        await db
          .updateTable('administrators')
          .set({ locked_until_ms: now + lockMs })
          .where('administrator_id', '=', administrator_id)
          .execute();
      }
      return account;
    });
  }

  /** Counts it, and tells and records ever fewer of very many, which strangers can cause. */
  async #wrongPassword({ administrator_id: administrator }: Account): Promise<SignInOutcome> {
    const { ledger, organization, alarm } = this.#parts;
    const { wrong_passwords: tries } = await ledger.db.transaction().execute((db) =>
      db
        .updateTable('administrators')
        .set((column) => ({ wrong_passwords: column('wrong_passwords', '+', 1) }))
        .where('administrator_id', '=', administrator)
        .returning('wrong_passwords')
        .executeTakeFirstOrThrow(),
    );
    if (!Number.isInteger(Math.log2(tries))) return { kind: 'refused' };
    await ledger.change({ id: administrator, via: 'session' }, ({ audit }) =>
      audit({ action: 'sign-in-refused', body: { reason: 'password', tries } }),
    );
    if (tries > freeFailures) alarm({ kind: 'passwords-tried', organization, administrator });
    return { kind: 'refused' };
  }

  /** The step of time of a right one-time password that is not older than the last one used; 0 for a break-glass account. */
  #stepOf(account: Account, oneTimePassword: string | undefined): number | undefined {
    if (account.break_glass === 1) return 0;
    if (account.totp_secret === null || oneTimePassword === undefined) return undefined;
    const { oneTimePasswords, organization, clock } = this.#parts;
    const name = accountName(organization, account.administrator_id);
    const step = oneTimePasswords.step(oneTimePassword, account.totp_secret, name, clock.utcMs());
    return step !== undefined && step > account.totp_step ? step : undefined;
  }

  async #refuse({ administrator_id: administrator, failures }: Account): Promise<SignInOutcome> {
    const { ledger, organization, alarm } = this.#parts;
    await ledger.change({ id: administrator, via: 'session' }, ({ audit }) =>
      audit({ action: 'sign-in-refused', body: { reason: 'one-time-password', tries: failures } }),
    );
    if (lockAfter(failures) > 0) alarm({ kind: 'account-locked', organization, administrator });
    return { kind: 'refused' };
  }

  async #open(account: Account, step: number): Promise<SignInOutcome> {
    const { ledger, entropy } = this.#parts;
    const { administrator_id, break_glass } = account;
    return ledger.change({ id: administrator_id, via: 'session' }, async (change) => {
      const { db, audit } = change;
      const used = await db
        .updateTable('administrators')
        .set({ wrong_passwords: 0, failures: 0, locked_until_ms: 0, totp_step: step })
        .where('administrator_id', '=', administrator_id)
        .where('enabled', '=', 1)
        // somebody else may have used the same one-time password since, or the credentials may be others by now
        .where('totp_step', break_glass === 1 ? '=' : '<', step)
        .where('password', '=', account.password)
        .executeTakeFirst();
      if (used.numUpdatedRows !== 1n) {
        await audit({ action: 'sign-in-refused', body: { reason: 'one-time-password-used' } });
        return { kind: 'refused' };
      }
      await audit({ action: break_glass === 1 ? 'break-glass-signed-in' : 'signed-in' });
      const lastsMs = break_glass === 1 ? breakGlassSessionMs : sessionMs;
      return insertSession(change, { administrator: administrator_id, entropy, lastsMs });
    });
  }
}

/** Opens a session, inside the change that says how its owner proved to be that. */
export async function insertSession(
  { db, atMs }: Change<PermissionsTables>,
  parts: { readonly administrator: string; readonly entropy: Entropy; readonly lastsMs?: number },
): Promise<SignInOutcome> {
  const { administrator, entropy, lastsMs = sessionMs } = parts;
  const { token, hash } = makeToken('session', entropy);
  const expiresAtMs = atMs + lastsMs;
  await db.deleteFrom('sessions').where('expires_at_ms', '<=', atMs).execute();
  await db
    .insertInto('sessions')
    .values({
      token_hash: hash,
      administrator_id: administrator,
      made_at_ms: atMs,
      used_at_ms: atMs,
      expires_at_ms: expiresAtMs,
    })
    .execute();
  return { kind: 'signed-in', token, expiresAtMs };
}

/** How long an account is locked after so many wrong one-time passwords: 30 s, doubled each time, at most 15 min. */
function lockAfter(failures: number): number {
  if (failures <= freeFailures) return 0;
  return Math.min(longestLockMs, firstLockMs * 2 ** Math.min(10, failures - freeFailures - 1));
}
