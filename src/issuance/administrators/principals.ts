import { refuseIndividualNumber } from '#core/card/user-number.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { Actor, Ledger } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import { shownAs } from './administrators.ts';
import { revokeTokensOf, tokenActor } from './api-tokens.ts';
import { hashOfToken, kindOfToken, makeToken } from './bearer-token.ts';
import { type Scope, scopesOf } from './roles.ts';

const idleMs = 30 * 60_000;
/** the use of a session is written at most so often */
const usedEveryMs = 60_000;

/** Whoever a request comes from, once known. */
export interface Principal {
  readonly actor: Actor;
  readonly scopes: ReadonlySet<Scope>;
  /** groups it may put holders in and take them out of; undefined: any */
  readonly groups?: ReadonlySet<string>;
  /** terminals it may command; undefined: any */
  readonly terminals?: ReadonlySet<string>;
  readonly tokenHash: string;
}

export interface ApiToken {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly madeBy: string;
  readonly expiresAtMs: number;
  readonly revoked: boolean;
}

export interface PrincipalsParts {
  readonly ledger: Ledger<PermissionsTables>;
  readonly clock: Clock;
  readonly entropy: Entropy;
}

/** Who stands behind a token, and the API tokens of one organization. */
export class Principals {
  readonly #parts: PrincipalsParts;

  constructor(parts: PrincipalsParts) {
    this.#parts = parts;
  }

  /**
   * undefined for a token that is unknown here, over or revoked, and for a session of an account that is switched off;
   * the API tokens of such an account were revoked with it
   */
  async find(token: string): Promise<Principal | undefined> {
    const kind = kindOfToken(token);
    if (!kind) return undefined;
    const hash = hashOfToken(token);
    return kind === 'session' ? this.#session(hash) : this.#apiToken(hash);
  }

  /** Makes an API token with `scopes`, which its maker must have. The token itself is told this once. */
  async makeApiToken(
    { name, scopes, days }: Pick<ApiToken, 'name' | 'scopes'> & { readonly days: number },
    actor: Actor,
  ): Promise<{ readonly apiToken: ApiToken; readonly token: string }> {
    refuseIndividualNumber(name, 'the name');
    const { ledger, entropy } = this.#parts;
    const { token, hash } = makeToken('api-token', entropy);
    const id = Buffer.from(entropy.bytes(8)).toString('hex');
    return ledger.change(actor, async ({ db, atMs, audit }) => {
      const expiresAtMs = atMs + days * 86_400_000;
      await db
        .insertInto('api_tokens')
        .values({
          token_id: id,
          token_hash: hash,
          name,
          scopes: JSON.stringify(scopes),
          made_by: actor.id,
          made_at_ms: atMs,
          expires_at_ms: expiresAtMs,
          revoked_at_ms: null,
        })
        .execute();
      await audit({ action: 'api-token-made', body: { token: id, name, scopes, expiresAtMs } });
      return { apiToken: { id, name, scopes, madeBy: actor.id, expiresAtMs, revoked: false }, token };
    });
  }

  async apiTokens(): Promise<readonly ApiToken[]> {
    const rows = await this.#parts.ledger.db
      .selectFrom('api_tokens')
      .selectAll()
      .orderBy('token_id')
      .execute();
    return rows.map((row) => ({
      id: row.token_id,
      name: row.name,
      scopes: JSON.parse(row.scopes) as Scope[],
      madeBy: row.made_by,
      expiresAtMs: row.expires_at_ms,
      revoked: row.revoked_at_ms !== null,
    }));
  }

  /** Revokes a token and those made with it. Resolves to whether there was one to revoke. */
  async revokeApiToken(id: string, actor: Actor): Promise<boolean> {
    return this.#parts.ledger.change(actor, async (change) => {
      const { db, atMs, audit } = change;
      const revoked = await db
        .updateTable('api_tokens')
        .set({ revoked_at_ms: atMs })
        .where('token_id', '=', id)
        .where('revoked_at_ms', 'is', null)
        .executeTakeFirst();
      const withIt = await revokeTokensOf(change, tokenActor(id));
      await audit({ action: 'api-token-revoked', body: { token: id, withIt } });
      return revoked.numUpdatedRows === 1n;
    });
  }

  async #session(hash: string): Promise<Principal | undefined> {
    const { ledger, clock } = this.#parts;
    const now = clock.utcMs();
    const row = await ledger.db
      .selectFrom('sessions')
      .innerJoin('administrators', 'administrators.administrator_id', 'sessions.administrator_id')
      .selectAll()
      .where('token_hash', '=', hash)
      .where('enabled', '=', 1)
      .executeTakeFirst();
    if (!row || now >= row.expires_at_ms || now - row.used_at_ms > idleMs) return undefined;
    if (now - row.used_at_ms > usedEveryMs) {
      await ledger.db.transaction().execute(async (db) => {
        await db.updateTable('sessions').set({ used_at_ms: now }).where('token_hash', '=', hash).execute();
      });
    }
    const { id, roles, sites } = shownAs(row);
    return {
      actor: { id, via: 'session' },
      scopes: scopesOf(roles),
      tokenHash: hash,
      ...(roles.includes('organization-admin') || !roles.includes('facilities-admin')
        ? {}
        : await this.#reach(sites)),
    };
  }

  /** What a facilities administrator reaches: the groups and terminals of its sites, and no others. */
  async #reach(sites: readonly string[]) {
    const { db } = this.#parts.ledger;
    const rows =
      sites.length === 0
        ? []
        : await db
            .selectFrom('sites')
            .selectAll()
            .where('site_id', 'in', [...sites])
            .execute();
    return {
      groups: new Set(rows.flatMap((row) => JSON.parse(row.groups) as string[])),
      terminals: new Set(rows.flatMap((row) => JSON.parse(row.terminals) as string[])),
    };
  }

  async #apiToken(hash: string): Promise<Principal | undefined> {
    const { ledger, clock } = this.#parts;
    const row = await ledger.db
      .selectFrom('api_tokens')
      .selectAll()
      .where('token_hash', '=', hash)
      .executeTakeFirst();
    if (!row || row.revoked_at_ms !== null || clock.utcMs() >= row.expires_at_ms) return undefined;
    return {
      actor: { id: tokenActor(row.token_id), via: 'api-token' },
      scopes: new Set(JSON.parse(row.scopes) as Scope[]),
      tokenHash: hash,
    };
  }
}
