import type { Kysely } from 'kysely';
import { toHex } from '#core/bytes/bytes.ts';
import { hashInIndex } from '#core/sync/bucket.ts';
import { manifestBytes } from '#core/sync/manifest.ts';
import { type BucketChange, encodeManifestMessage, maximumInlineBytes } from '#core/sync/manifest-message.ts';
import { type Signer, signDocument } from '#core/sync/signed.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import { readChunk } from './chunk-store.ts';
import { readIndex } from './view-index.ts';

type Db = Kysely<PermissionsTables>;
type PolicyRow = PermissionsTables['terminal_policies'];

/** how long a manifest can be installed: a device that lay in a store for longer waits for the next */
const validForMs = 30 * 86_400_000;
/** how often the same is said again, so that a terminal knows its policy to be young */
const saidAgainMs = 300_000;
const mostChanges = 200;

/** Keys of the role `policy` that sign here, and the version of the root that names them. */
export interface PolicySigning {
  readonly signers: readonly Signer[];
  readonly rootVersion: number;
}

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

  constructor(parts: { readonly organization: string; readonly db: Db }) {
    this.#organization = parts.organization;
    this.#db = parts.db;
  }

  /** Terminals that have something new to be told, or were told nothing for minutes; with `all`, all. */
  async due(nowMs: number, all: boolean): Promise<readonly string[]> {
    let query = this.#db.selectFrom('terminal_policies').select('terminal_id').where('version', '>', 0);
    if (!all) {
      query = query.where((where) =>
        where.or([
          where('issued_version', '<', where.ref('version')),
          where('issued_at_ms', '<=', nowMs - saidAgainMs),
        ]),
      );
    }
    const rows = await query.orderBy('terminal_id').execute();
    return rows.map((row) => row.terminal_id);
  }

  /** Signs what a terminal is to have as of now, `nowMs` UTC; undefined where nothing was built for it yet. */
  async sign(
    terminal: string,
    nowMs: number,
    { signers, rootVersion }: PolicySigning,
  ): Promise<SignedMessage | undefined> {
    const row = await this.#db
      .selectFrom('terminal_policies')
      .selectAll()
      .where('terminal_id', '=', terminal)
      .where('version', '>', 0)
      .executeTakeFirst();
    if (!row) return undefined;
    // a terminal believes nothing that was said before what it knows, and a clock may have been put back
    const issuedAtMs = Math.max(nowMs, row.issued_at_ms);
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
    const message = encodeManifestMessage({ manifest, ...(await changedOfLate(this.#db, row)) });
    return { terminal, version: row.version, issuedAtMs, message };
  }

  /** What was sent is not due. */
  async sent({ terminal, version, issuedAtMs }: SignedMessage): Promise<void> {
    await this.#db
      .updateTable('terminal_policies')
      .set({ issued_version: version, issued_at_ms: issuedAtMs })
      .where('terminal_id', '=', terminal)
      .execute();
  }
}

/**
 * What came with the last change, and before it, newest first and as much as a message takes; nothing where the last
 * change alone is too much, since a terminal would have to fetch the rest anyway.
 */
async function changedOfLate(
  db: Db,
  row: PolicyRow,
): Promise<{ readonly changes: BucketChange[]; readonly chunks: Uint8Array[] }> {
  const nothing = { changes: [], chunks: [] };
  const view = await db
    .selectFrom('views')
    .selectAll()
    .where('view_id', '=', row.view_id)
    .where('root', '=', row.root)
    .where('changed', '=', 0)
    .executeTakeFirst();
  if (!view) return nothing;
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
    size += bytes?.length ?? maximumInlineBytes;
    if (!bytes || size > maximumInlineBytes) {
      return change_number > view.root_before ? nothing : { changes, chunks };
    }
    changes.push({ bucket, hash });
    chunks.push(bytes);
  }
  return { changes, chunks };
}
