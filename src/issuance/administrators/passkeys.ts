import { createHmac, timingSafeEqual } from 'node:crypto';
import {
  type AuthenticationResponseJSON,
  generateAuthenticationOptions,
  generateRegistrationOptions,
  type PublicKeyCredentialCreationOptionsJSON,
  type PublicKeyCredentialRequestOptionsJSON,
  type RegistrationResponseJSON,
  verifyAuthenticationResponse,
  verifyRegistrationResponse,
} from '@simplewebauthn/server';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { Actor, Change, Ledger } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import { accountName } from './administrators.ts';
import type { Principal } from './principals.ts';
import { type AdministratorAlarm, insertSession, type SignInOutcome } from './sign-in.ts';

const challengeMs = 300_000;
/** EdDSA, ES256, RS256 (COSE): what authenticators have, and nothing that Node has as an experiment */
const algorithms = [-8, -7, -257];
/** a session that somebody left open must not become a way in for ever */
const freshMs = 900_000;
const most = 20;

/** Where passkeys are used: a browser gives them to no other. */
export interface PasskeyPlace {
  /** domain that passkeys are bound to (RP ID) */
  readonly relyingParty: string;
  /** of the pages that use them, such as `https://issuance.example` */
  readonly origins: readonly string[];
}

/** A passkey as it is shown: nothing in it is a secret. */
export interface Passkey {
  readonly id: string;
  readonly name: string;
  /** kept by its maker in several devices */
  readonly backedUp: boolean;
  readonly madeAtMs: number;
  readonly usedAtMs: number;
}

export type PasskeyRegistration =
  | { readonly kind: 'registered'; readonly passkey: Passkey }
  /** the answer of the authenticator is not right, too late, or was used before */
  | { readonly kind: 'refused' };

export interface PasskeysParts {
  readonly place: PasskeyPlace;
  readonly organization: string;
  readonly ledger: Ledger<PermissionsTables>;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly alarm: (alarm: AdministratorAlarm) => void;
  /** the same in every process of a server; challenges and names of accounts are made with it */
  readonly key: Uint8Array;
}

type Stored = PermissionsTables['passkeys'];

/**
 * Passkeys (WebAuthn) of the administrators of one organization: registered in a fresh session, used in place of password
 * and one-time password. The authenticator must verify its user, so that a passkey is two factors by itself.
 */
export class Passkeys {
  readonly #parts: PasskeysParts;

  constructor(parts: PasskeysParts) {
    this.#parts = parts;
  }

  /** What a browser needs to make one (`navigator.credentials.create`); undefined where the session is not fresh. */
  async beginRegistration(by: Principal): Promise<PublicKeyCredentialCreationOptionsJSON | undefined> {
    const account = await this.#freshAccount(by);
    if (!account) return undefined;
    const { place, organization } = this.#parts;
    const known = await this.list(by.actor.id);
    return generateRegistrationOptions({
      rpName: 'Kazasu',
      rpID: place.relyingParty,
      userName: accountName(organization, by.actor.id),
      userID: new Uint8Array(this.#handle(by.actor.id)),
      challenge: new Uint8Array(this.#challenge('registration', by.actor.id)),
      timeout: challengeMs,
      attestationType: 'none',
      supportedAlgorithmIDs: algorithms,
      excludeCredentials: known.map(({ id }) => ({ id })),
      authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
    });
  }

  /** Keeps the passkey that an authenticator has made. */
  async register(
    name: string,
    response: RegistrationResponseJSON,
    by: Principal,
  ): Promise<PasskeyRegistration> {
    const account = await this.#freshAccount(by);
    if (!account || (await this.list(by.actor.id)).length >= most) return { kind: 'refused' };
    const challenge = this.#good('registration', by.actor.id);
    const verified = await verifiedBy(() =>
      verifyRegistrationResponse({
        supportedAlgorithmIDs: algorithms,
        response,
        ...this.#expected(challenge.is),
        requireUserVerification: true,
      }),
    );
    const info = verified?.registrationInfo;
    if (!verified?.verified || !info || !challenge.seen) return { kind: 'refused' };
    const { id, publicKey, counter } = info.credential;
    return this.#parts.ledger.change(by.actor, async (change): Promise<PasskeyRegistration> => {
      const row: Stored = {
        credential_id: id,
        administrator_id: by.actor.id,
        public_key: publicKey,
        counter,
        name,
        backed_up: info.credentialBackedUp ? 1 : 0,
        made_at_ms: change.atMs,
        used_at_ms: change.atMs,
      };
      const inserted = await change.db
        .insertInto('passkeys')
        .values(row)
        .onConflict((at) => at.doNothing())
        .executeTakeFirst();
      if (inserted.numInsertedOrUpdatedRows !== 1n || !(await spend(change, challenge.seen ?? ''))) {
        return change.abandon({ kind: 'refused' });
      }
      await change.audit({
        action: 'passkey-registered',
        body: { passkey: id, backedUp: row.backed_up === 1 },
      });
      return { kind: 'registered', passkey: passkeyOf(row) };
    });
  }

  /** What a browser needs to use one (`navigator.credentials.get`): the same for everybody, so that it tells nothing. */
  async beginSignIn(): Promise<PublicKeyCredentialRequestOptionsJSON> {
    return generateAuthenticationOptions({
      rpID: this.#parts.place.relyingParty,
      challenge: new Uint8Array(this.#challenge('sign-in', '')),
      timeout: challengeMs,
      userVerification: 'required',
    });
  }

  /** Opens a session for whoever has the passkey. Nothing is written before its signature has been verified. */
  async signIn(response: AuthenticationResponseJSON): Promise<SignInOutcome> {
    const known = await this.#find(response.id);
    if (!known) return { kind: 'refused' };
    const challenge = this.#good('sign-in', '');
    const verified = await verifiedBy(() =>
      verifyAuthenticationResponse({
        response,
        ...this.#expected(challenge.is),
        requireUserVerification: true,
        // whether it has counted on is looked at below, where it is told
        credential: { id: known.credential_id, publicKey: new Uint8Array(known.public_key), counter: 0 },
      }),
    );
    const { userHandle } = response.response;
    const ownHandle = Buffer.from(this.#handle(known.administrator_id)).toString('base64url');
    if (!verified?.verified || !challenge.seen || (userHandle !== undefined && userHandle !== ownHandle)) {
      return { kind: 'refused' };
    }
    const { newCounter, credentialBackedUp } = verified.authenticationInfo;
    return this.#open(known, {
      challenge: challenge.seen,
      counter: newCounter,
      backedUp: credentialBackedUp,
    });
  }

  async list(administrator: string): Promise<readonly Passkey[]> {
    const rows = await this.#parts.ledger.db
      .selectFrom('passkeys')
      .selectAll()
      .where('administrator_id', '=', administrator)
      .orderBy('made_at_ms')
      .orderBy('credential_id')
      .execute();
    return rows.map(passkeyOf);
  }

  /** Takes a passkey from an account, and ends its sessions. Resolves to whether it had it. */
  async remove(administrator: string, id: string, actor: Actor): Promise<boolean> {
    return this.#parts.ledger.change(actor, async ({ db, audit, abandon }) => {
      const removed = await db
        .deleteFrom('passkeys')
        .where('administrator_id', '=', administrator)
        .where('credential_id', '=', id)
        .executeTakeFirst();
      if (removed.numDeletedRows !== 1n) return abandon(false);
      await db.deleteFrom('sessions').where('administrator_id', '=', administrator).execute();
      await audit({ action: 'passkey-removed', body: { administrator, passkey: id } });
      return true;
    });
  }

  async #open(
    { credential_id, administrator_id }: Stored,
    used: { readonly challenge: string; readonly counter: number; readonly backedUp: boolean },
  ): Promise<SignInOutcome> {
    const { ledger, entropy, alarm, organization } = this.#parts;
    const actor: Actor = { id: administrator_id, via: 'session' };
    const outcome = await ledger.change(
      actor,
      async (change): Promise<SignInOutcome & { cloned?: boolean }> => {
        const row = await change.db
          .selectFrom('passkeys')
          .innerJoin('administrators as a', 'a.administrator_id', 'passkeys.administrator_id')
          .select('counter')
          .where('credential_id', '=', credential_id)
          .where('a.enabled', '=', 1)
          .executeTakeFirst();
        if (!row || !(await spend(change, used.challenge))) return change.abandon({ kind: 'refused' });
        // WebAuthn 6.1.1: two authenticators have the same key; one that does not count says 0 always
        if ((used.counter > 0 || row.counter > 0) && used.counter <= row.counter) {
          await change.audit({
            action: 'sign-in-refused',
            body: { reason: 'passkey-copied', passkey: credential_id },
          });
          return { kind: 'refused', cloned: true };
        }
        await change.db
          .updateTable('passkeys')
          .set({ counter: used.counter, backed_up: used.backedUp ? 1 : 0, used_at_ms: change.atMs })
          .where('credential_id', '=', credential_id)
          .execute();
        await change.audit({ action: 'signed-in', body: { passkey: credential_id } });
        return insertSession(change, { administrator: administrator_id, entropy });
      },
    );
    if ('cloned' in outcome) alarm({ kind: 'passkey-copied', organization, administrator: administrator_id });
    return outcome.kind === 'refused' ? { kind: 'refused' } : outcome;
  }

  #expected(expectedChallenge: (challenge: string) => boolean) {
    const { relyingParty, origins } = this.#parts.place;
    return { expectedChallenge, expectedOrigin: [...origins], expectedRPID: relyingParty };
  }

  /** The account of a session that was opened a short while ago; a break-glass account has no passkeys. */
  async #freshAccount({ actor, tokenHash }: Principal): Promise<boolean> {
    if (actor.via !== 'session') return false;
    const { ledger, clock } = this.#parts;
    const row = await ledger.db
      .selectFrom('sessions')
      .innerJoin('administrators as a', 'a.administrator_id', 'sessions.administrator_id')
      .select('sessions.made_at_ms')
      .where('token_hash', '=', tokenHash)
      .where('a.break_glass', '=', 0)
      .executeTakeFirst();
    return row !== undefined && clock.utcMs() - row.made_at_ms <= freshMs;
  }

  async #find(id: string): Promise<Stored | undefined> {
    return this.#parts.ledger.db
      .selectFrom('passkeys')
      .selectAll()
      .where('credential_id', '=', id)
      .executeTakeFirst();
  }

  /** By what an authenticator knows an account: the same always, and no name of a person (WebAuthn 14.6.1). */
  #handle(administrator: string): Uint8Array {
    return this.#keyed('handle', administrator);
  }

  /**
   * 16 random bytes, until when they count, and a code over both: nothing is stored for whoever only asks for one, and
   * each is used once, since what was used is.
   */
  #challenge(purpose: string, administrator: string): Uint8Array {
    const { clock, entropy } = this.#parts;
    const body = Buffer.alloc(24);
    body.set(entropy.bytes(16));
    body.writeBigUInt64BE(BigInt(clock.utcMs() + challengeMs), 16);
    return Buffer.concat([body, this.#keyed(purpose, administrator, body)]);
  }

  /** Tells challenges of this server that count now, and notes the one that was shown. */
  #good(purpose: string, administrator: string) {
    const challenge: { seen?: string; is: (shown: string) => boolean } = {
      is: (shown) => {
        const bytes = Buffer.from(shown, 'base64url');
        if (bytes.length !== 56) return false;
        const [body, code] = [bytes.subarray(0, 24), bytes.subarray(24)];
        const own = timingSafeEqual(code, this.#keyed(purpose, administrator, body));
        if (!own || Number(body.readBigUInt64BE(16)) <= this.#parts.clock.utcMs()) return false;
        challenge.seen = shown;
        return true;
      },
    };
    return challenge;
  }

  #keyed(purpose: string, administrator: string, body: Uint8Array = new Uint8Array()): Uint8Array {
    const { key, organization } = this.#parts;
    const said = JSON.stringify(['passkey', purpose, organization, administrator]);
    return createHmac('sha256', key).update(said).update(body).digest();
  }
}

/** Whether the challenge was not used before. */
async function spend({ db, atMs }: Change<PermissionsTables>, challenge: string): Promise<boolean> {
  await db.deleteFrom('used_challenges').where('forget_at_ms', '<=', atMs).execute();
  const used = await db
    .insertInto('used_challenges')
    .values({ challenge, forget_at_ms: atMs + challengeMs })
    .onConflict((at) => at.doNothing())
    .executeTakeFirst();
  return used.numInsertedOrUpdatedRows === 1n;
}

/** The library tells by an error whatever is wrong with an answer; each is a refusal here. */
async function verifiedBy<T>(verify: () => Promise<T>): Promise<T | undefined> {
  try {
    return await verify();
  } catch {
    return undefined;
  }
}

function passkeyOf({ credential_id: id, name, backed_up, made_at_ms, used_at_ms }: Stored): Passkey {
  return { id, name, backedUp: backed_up === 1, madeAtMs: made_at_ms, usedAtMs: used_at_ms };
}
