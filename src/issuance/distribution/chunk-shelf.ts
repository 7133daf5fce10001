import type { Kysely } from 'kysely';
import { holdersRoot } from '#core/sync/bucket.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import { readChunk } from './chunk-store.ts';
import { readIndex } from './view-index.ts';

/** indexes kept in memory: a terminal may still ask for one that a change has followed */
const indexesKept = 8;

/** What the terminals of one organization fetch, by its hash (upper-case hexadecimal). */
export class ChunkShelf {
  readonly #db: Kysely<PermissionsTables>;
  readonly #indexes = new Map<string, Uint8Array>();

  constructor(parts: { readonly db: Kysely<PermissionsTables> }) {
    this.#db = parts.db;
  }

  /** Rules or a bucket; undefined for what nothing has any more. */
  chunk(hash: string): Promise<Uint8Array | undefined> {
    return readChunk(this.#db, hash);
  }

  /** An index; `later` while buckets of it are made anew. */
  async index(hash: string): Promise<Uint8Array | 'later' | undefined> {
    const known = this.#indexes.get(hash);
    if (known) return known;
    const view = await this.#db.selectFrom('views').selectAll().where('root', '=', hash).executeTakeFirst();
    if (!view) return undefined;
    const index = await readIndex(this.#db, { view_id: view.view_id, bits: view.root_bits });
    if (holdersRoot(index) !== hash) return 'later';
    const oldest = this.#indexes.keys().next();
    if (this.#indexes.size >= indexesKept && !oldest.done) this.#indexes.delete(oldest.value);
    this.#indexes.set(hash, index);
    return index;
  }
}
