import type { Kysely } from 'kysely';
import { toHex } from '#core/bytes/bytes.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { LeaseTables } from './lease-tables.ts';
import type { PermissionsTables } from './permissions-tables.ts';

/** How long one that died keeps the others waiting, in milliseconds. */
const lifeMs = 5_000;

/** The right to do what one of several processes on a database does at a time. */
export interface Lease<T> {
  /** Whether this process has it; it takes it where no other has. To be asked again and again. */
  hold(): Promise<boolean>;
  /** Inside a transaction: whether this process has it still; no other takes it until the transaction ends. */
  keep(transaction: Kysely<T>): Promise<boolean>;
  /** Lets another process have it at once. */
  release(): Promise<void>;
}

/** Of a process that is the only one on its database. */
export const soleLease: Lease<unknown> = {
  hold: async () => true,
  keep: async () => true,
  release: async () => undefined,
};

export interface SharedLeaseParts<T extends LeaseTables> {
  readonly db: Kysely<T>;
  /** what one process does at a time */
  readonly name: string;
  /** of this process; another one, also on the same machine, has another */
  readonly owner: string;
  readonly clock: Pick<Clock, 'utcMs'>;
}

/**
 * A lease kept in the database, which runs out when its owner is silent. Clocks of processes may differ: that decides how
 * soon another takes over, while `keep` decides who may write.
 */
export class SharedLease<T extends LeaseTables> implements Lease<T> {
  readonly #db: Kysely<LeaseTables>;
  readonly #parts: SharedLeaseParts<T>;
  #renewedAtMs: number | undefined;

  constructor(parts: SharedLeaseParts<T>) {
    this.#parts = parts;
    this.#db = parts.db as unknown as Kysely<LeaseTables>;
  }

  async hold(): Promise<boolean> {
    const { name, owner, clock } = this.#parts;
    const nowMs = clock.utcMs();
    const since = nowMs - (this.#renewedAtMs ?? Number.NEGATIVE_INFINITY);
    if (since >= 0 && since < lifeMs / 4) return true;
    const until_ms = nowMs + lifeMs;
    const taken = await this.#db
      .insertInto('leases')
      .values({ name, owner, until_ms })
      .onConflict((at) =>
        at
          .column('name')
          .doUpdateSet({ owner, until_ms })
          .where((where) =>
            where.or([
              where('leases.owner', '=', owner),
              where('leases.until_ms', '<=', nowMs),
              // the clock was put back
              where('leases.until_ms', '>', nowMs + 10 * lifeMs),
            ]),
          ),
      )
      .executeTakeFirst();
    this.#renewedAtMs = (taken.numInsertedOrUpdatedRows ?? 0n) > 0n ? nowMs : undefined;
    return this.#renewedAtMs !== undefined;
  }

  async keep(transaction: Kysely<T>): Promise<boolean> {
    const { name, owner } = this.#parts;
    const kept = await (transaction as unknown as Kysely<LeaseTables>)
      .updateTable('leases')
      .set({ owner })
      .where('name', '=', name)
      .where('owner', '=', owner)
      .executeTakeFirst();
    if (kept.numUpdatedRows > 0n) return true;
    this.#renewedAtMs = undefined;
    return false;
  }

  async release(): Promise<void> {
    const { name, owner } = this.#parts;
    this.#renewedAtMs = undefined;
    await this.#db.deleteFrom('leases').where('name', '=', name).where('owner', '=', owner).execute();
  }
}

/** Leases by what they are for. */
export type Leases = (db: Kysely<PermissionsTables>, name: string) => Lease<PermissionsTables>;

/** `shared`: other processes work on the same databases. */
export function leasesOf({
  shared,
  clock,
  entropy,
}: {
  readonly shared: boolean;
  readonly clock: Pick<Clock, 'utcMs'>;
  readonly entropy: Entropy;
}): Leases {
  if (!shared) return () => soleLease;
  const owner = toHex(entropy.bytes(8));
  return (db, name) => new SharedLease({ db, name, owner, clock });
}
