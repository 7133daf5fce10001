import type { Kysely } from 'kysely';
import { type Revocation, revocationBytes } from '#core/sync/revocation.ts';
import { encodeSigned, signDocument } from '#core/sync/signed.ts';
import { DistributionFeed } from '../permissions/distribution-feed.ts';
import type { CardKey } from '../permissions/holder-state.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import type { RoleSigning } from '../trust/organization-trust.ts';

type Db = Kysely<PermissionsTables>;

/**
 * What is read at once, and what a document says at most, of holders and of cards: of the longest names there can be it
 * fits into one message, whatever they are written in.
 */
const most = 150;

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

  /** What was revoked after change `since`; undefined where nothing has changed. Ask again until then. */
  async after(since: number, nowMs: number, signing: RoleSigning): Promise<NextRevocation | undefined> {
    const { changeNumber, holders, cards } = await this.#feed.revokedSince(since, most);
    if (changeNumber === since) return undefined;
    const { rootVersion } = signing;
    const head = { organization: this.#organization, changeNumber, rootVersion, issuedAtMs: nowMs };
    const documents: Uint8Array[] = [];
    for (let at = 0; at < Math.max(holders.length, cards.length); at += most) {
      const part = { holders: holders.slice(at, at + most), cards: cards.slice(at, at + most).map(shown) };
      const raw = revocationBytes({ ...head, ...part });
      documents.push(encodeSigned(await signDocument(raw, signing.signers)));
    }
    return { upTo: changeNumber, documents };
  }

  /** Number of the change that every policy given to a terminal has; undefined before the first. */
  async oldest(): Promise<number | undefined> {
    const row = await this.#db
      .selectFrom('terminal_policies')
      .select((column) => column.fn.min('change_number').as('number'))
      .where('version', '>', 0)
      .executeTakeFirst();
    return row?.number === null || row?.number === undefined ? undefined : Number(row.number);
  }
}

function shown({ profileId, userNumber, diversifier }: CardKey): Revocation['cards'][number] {
  return { profileId, userNumber, ...(diversifier !== '' && { diversifier }) };
}
