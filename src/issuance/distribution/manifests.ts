import type { Kysely } from 'kysely';
import { toHex } from '#core/bytes/bytes.ts';
import { bucketOf, hashInIndex } from '#core/sync/bucket.ts';
import { manifestBytes } from '#core/sync/manifest.ts';
import { type BucketChange, encodeManifestMessage, maximumInlineBytes } from '#core/sync/manifest-message.ts';
import { signDocument } from '#core/sync/signed.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import type { RoleSigning } from '../trust/organization-trust.ts';
import { readChunk } from './chunk-store.ts';
import { readIndex } from './view-index.ts';

type Db = Kysely<PermissionsTables>;
type PolicyRow = PermissionsTables['terminal_policies'];

/** how long a manifest can be installed: a device that lay in a store for longer waits for the next */
const validForMs = 30 * 86_400_000;
/**
 * How often the same is said again, so that a terminal knows its policy to be young: each terminal at an interval of its
 * own between these, so that not all are due at once.
 */
const saidAgainMs = { shortest: 240_000, longest: 300_000 };
/** Further ahead than that a time of issue was told by a clock that was wrong. */
const clockWrongMs = 3_600_000;
const mostChanges = 200;
/** what a message may have for those who missed one before it */
const forLateBytes = 16_384;
/** parts of messages kept, which many terminals share */
const partsKept = 16;

/** What of a policy goes with its manifest. */
interface Late {
  readonly changes: readonly BucketChange[];
  readonly chunks: readonly Uint8Array[];
}

const nothing: Late = { changes: [], chunks: [] };

/** A manifest signed and ready to be sent. */
export interface SignedMessage {
  readonly terminal: string;
  readonly version: number;
  readonly issuedAtMs: number;
  readonly message: Uint8Array;
}

/** Signs, for each terminal, what the builder has for it. */
export class Manifests {
  readonly #organization: string;
  readonly #db: Db;
  readonly #late = new Map<string, Late>();

  constructor(parts: { readonly organization: string; readonly db: Db }) {
    this.#organization = parts.organization;
    this.#db = parts.db;
  }

  /** Terminals that have a policy: the others open nothing. */
  async all(): Promise<readonly string[]> {
    const rows = await this.#given().select('terminal_id').orderBy('terminal_id').execute();
    return rows.map((row) => row.terminal_id);
  }

  /** The version that a terminal is to have; undefined before its first. */
  async version(terminal: string): Promise<number | undefined> {
    const row = await this.#given().select('version').where('terminal_id', '=', terminal).executeTakeFirst();
    return row?.version;
  }

  /** Those of them that have something new to be told, and then those that were told nothing for minutes. */
  async due(nowMs: number): Promise<readonly string[]> {
    const rows = await this.#given()
      .select(['terminal_id', 'version', 'issued_version', 'issued_at_ms'])
      .where((where) =>
        where.or([
          where('issued_version', '<', where.ref('version')),
          where('issued_at_ms', '<=', nowMs - saidAgainMs.shortest),
          where('issued_at_ms', '>', nowMs + clockWrongMs),
        ]),
      )
      .orderBy('terminal_id')
      .execute();
    const isNew = (row: (typeof rows)[number]) => row.issued_version < row.version;
    const isOld = ({ terminal_id, issued_at_ms }: (typeof rows)[number]) =>
      Math.abs(nowMs - issued_at_ms) >= againAfterMs(terminal_id);
    return [...rows.filter(isNew), ...rows.filter((row) => !isNew(row) && isOld(row))].map(
      (row) => row.terminal_id,
    );
  }

  #given() {
    return this.#db.selectFrom('terminal_policies').where('version', '>', 0);
  }

  /** Signs what a terminal is to have as of now, `nowMs` UTC; undefined where nothing was built for it yet. */
  async sign(
    terminal: string,
    nowMs: number,
    { signers, rootVersion }: RoleSigning,
  ): Promise<SignedMessage | undefined> {
    const row = await this.#current(terminal, nowMs);
    if (!row) return undefined;
    // a terminal believes nothing that was said before what it knows, and a clock may have been put back
    const issuedAtMs = row.issued_at_ms > nowMs + clockWrongMs ? nowMs : Math.max(nowMs, row.issued_at_ms);
    const raw = manifestBytes({
      organization: this.#organization,
      terminal,
      version: row.version,
      changeNumber: row.change_number,
      issuedAtMs,
      expiresAtMs: issuedAtMs + validForMs,
      rulesHash: row.rules_hash,
      holdersRoot: row.root,
      bits: row.bits,
      holders: row.holders,
      rootVersion,
    });
    const manifest = await signDocument(raw, signers);
    const message = encodeManifestMessage({ manifest, ...(await this.#changedOfLate(row)) });
    return { terminal, version: row.version, issuedAtMs, message };
  }

  /**
   * What a terminal is to have. After times of issue that a wrong clock told, which terminals may know, a further version
   * begins with the right time.
   */
  async #current(terminal: string, nowMs: number): Promise<PolicyRow | undefined> {
    await this.#db
      .updateTable('terminal_policies')
      .set((row) => ({ version: row('version', '+', 1) }))
      .where('terminal_id', '=', terminal)
      .where('issued_at_ms', '>', nowMs + clockWrongMs)
      .where('issued_version', '=', (row) => row.ref('version'))
      .execute();
    return this.#given().selectAll().where('terminal_id', '=', terminal).executeTakeFirst();
  }

  async #changedOfLate(row: PolicyRow): Promise<Late> {
    const view = await this.#db
      .selectFrom('views')
      .selectAll()
      .where('view_id', '=', row.view_id)
      .where('root', '=', row.root)
      .where('changed', '=', 0)
      .executeTakeFirst();
    // the next version is being made: what went with this one cannot be told any more
    if (!view) return nothing;
    // an index may come back, after another change than the first time
    const key = JSON.stringify([view.view_id, view.root_number, row.rules_hash, row.rules_number]);
    const known = this.#late.get(key);
    if (known) return known;
    const late = await changedOfLate(this.#db, row, view);
    const oldest = this.#late.keys().next();
    if (this.#late.size >= partsKept && !oldest.done) this.#late.delete(oldest.value);
    this.#late.set(key, late);
    return late;
  }

  /** What was sent is not due. */
  async sent(messages: readonly SignedMessage[]): Promise<void> {
    if (messages.length === 0) return;
    await this.#db.transaction().execute(async (db) => {
      for (const { terminal, version, issuedAtMs } of messages) {
        await db
          .updateTable('terminal_policies')
          .set({ issued_version: version, issued_at_ms: issuedAtMs })
          .where('terminal_id', '=', terminal)
          .execute();
      }
    });
  }
}

function againAfterMs(terminal: string): number {
  const { shortest, longest } = saidAgainMs;
  const spread = (bucketOf(terminal, 10) + 1) / 2 ** 10;
  return Math.ceil(shortest + (longest - shortest) * spread);
}

/**
 * What came with the last change, and before it, newest first; nothing where the last
 * change alone is too much, since a terminal would have to fetch the rest anyway.
 */
async function changedOfLate(db: Db, row: PolicyRow, view: PermissionsTables['views']): Promise<Late> {
  const chunks: Uint8Array[] = [];
  const rules = row.rules_number > view.root_before ? await readChunk(db, row.rules_hash) : undefined;
  let size = rules?.length ?? 0;
  if (size > maximumInlineBytes) return nothing;
  if (rules) chunks.push(rules);
  const recent = await db
    .selectFrom('bucket_changes')
    .select(['bucket', 'change_number'])
    .where('view_id', '=', view.view_id)
    .orderBy('change_number', 'desc')
    .limit(mostChanges)
    .execute();
  const index = recent.length > 0 ? await readIndex(db, view) : new Uint8Array();
  const changes: BucketChange[] = [];
  for (const { bucket, change_number } of recent) {
    const hash = new Uint8Array(hashInIndex(index, bucket));
    const bytes = await readChunk(db, toHex(hash));
    const isOfLast = change_number > view.root_before;
    size += bytes?.length ?? maximumInlineBytes + 1;
    if (!bytes || size > (isOfLast ? maximumInlineBytes : forLateBytes)) {
      return isOfLast ? nothing : { changes, chunks };
    }
    changes.push({ bucket, hash });
    chunks.push(bytes);
  }
  return { changes, chunks };
}
