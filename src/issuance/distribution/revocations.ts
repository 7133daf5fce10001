import type { Kysely } from 'kysely';
import { type Revocation, revocationBytes } from '#core/sync/revocation.ts';
import { encodeSigned, signDocument } from '#core/sync/signed.ts';
import { DistributionFeed, type EffectiveHolder } from '../permissions/distribution-feed.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import type { PolicySigning } from './manifests.ts';

type Db = Kysely<PermissionsTables>;

const changesAtOnce = 200;
/** a message has no more of either */
const most = 1_000;

export interface NextRevocation {
  /** changes up to this number are told of by `documents` */
  readonly upTo: number;
  readonly documents: readonly Uint8Array[];
}

/** Tells, ahead of every policy, who must open nothing any more: also while a reorganization is half applied. */
export class RevocationFeed {
  readonly #organization: string;
  readonly #db: Db;
  readonly #feed: DistributionFeed;

  constructor(parts: { readonly organization: string; readonly db: Db }) {
    this.#organization = parts.organization;
    this.#db = parts.db;
    this.#feed = new DistributionFeed({ db: parts.db });
  }

  /** What has been revoked since what was sent last; undefined where nothing has changed. */
  async next(nowMs: number, { signers, rootVersion }: PolicySigning): Promise<NextRevocation | undefined> {
    const revoked = await this.#sentUpTo();
    if (revoked === undefined) return undefined;
    const since = await this.#feed.changesSince(revoked, changesAtOnce);
    if (since.changeNumber === revoked) return undefined;
    const { holders, cards } = revokedOf(await this.#feed.holders(since.changed), since.removed);
    const documents: Uint8Array[] = [];
    for (let at = 0; at < Math.max(holders.length, cards.length); at += most) {
      const raw = revocationBytes({
        organization: this.#organization,
        changeNumber: since.changeNumber,
        rootVersion,
        issuedAtMs: nowMs,
        holders: holders.slice(at, at + most),
        cards: cards.slice(at, at + most),
      });
      documents.push(encodeSigned(await signDocument(raw, signers)));
    }
    return { upTo: since.changeNumber, documents };
  }

  /** Nothing before the first policy: that has it all. undefined until then. */
  async #sentUpTo(): Promise<number | undefined> {
    const { revoked } = await this.#db.selectFrom('distribution').select('revoked').executeTakeFirstOrThrow();
    return revoked === 0 ? this.#oldest() : revoked;
  }

  async sent(upTo: number): Promise<void> {
    await this.#db.updateTable('distribution').set({ revoked: upTo }).execute();
  }

  /** Has everything sent again that some terminal may not have in its policy: a broker that was away may have lost it. */
  async again(): Promise<void> {
    const number = (await this.#oldest()) ?? 0;
    await this.#db
      .updateTable('distribution')
      .set({ revoked: number })
      .where('revoked', '>', number)
      .execute();
  }

  /** Number of the change that every policy given to a terminal has. */
  async #oldest(): Promise<number | undefined> {
    const row = await this.#db
      .selectFrom('terminal_policies')
      .select((column) => column.fn.min('change_number').as('number'))
      .where('version', '>', 0)
      .executeTakeFirst();
    return row?.number === null || row?.number === undefined ? undefined : Number(row.number);
  }
}

function revokedOf(
  holders: readonly EffectiveHolder[],
  removed: readonly string[],
): Pick<Revocation, 'holders' | 'cards'> {
  const suspended = holders.filter(({ status }) => status !== 'active').map(({ holderId }) => holderId);
  const cards = holders
    .filter(({ status }) => status === 'active')
    .flatMap((holder) => holder.cards)
    .filter(({ status }) => status !== 'active')
    .map(({ profileId, userNumber, diversifier }) => ({
      profileId,
      userNumber,
      ...(diversifier === undefined ? {} : { diversifier }),
    }));
  return { holders: [...new Set([...suspended, ...removed])], cards };
}
