import type { Actor, Ledger } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import { applySome } from './change-set-steps.ts';
import { putInForce } from './rules-versions.ts';

const server: Actor = { id: 'server', via: 'server' };

/** What is due comes into force: rules and change sets whose moment has come, in their order, a few holders at a time. */
export class DueChanges {
  readonly #ledger: Ledger<PermissionsTables>;

  constructor(parts: { readonly ledger: Ledger<PermissionsTables> }) {
    this.#ledger = parts.ledger;
  }

  /**
   * Takes one short step, if anything is due at `nowMs`. Resolves to whether it did, so that more may be due. A step
   * that was cut off is taken again.
   */
  async step(nowMs: number): Promise<boolean> {
    const { db } = this.#ledger;
    const rules = await db
      .selectFrom('rules')
      .select(['version', 'in_force_from_ms'])
      .where('state', '=', 'planned')
      .where('in_force_from_ms', '<=', nowMs)
      .orderBy('in_force_from_ms')
      .orderBy('version')
      .executeTakeFirst();
    const set = await db
      .selectFrom('change_sets')
      .selectAll()
      .where('state', 'in', ['scheduled', 'applying'])
      .where('in_force_from_ms', '<=', nowMs)
      .orderBy('in_force_from_ms')
      .orderBy('revision')
      .executeTakeFirst();
    if (rules && (!set || rules.in_force_from_ms <= (set.in_force_from_ms ?? nowMs))) {
      await this.#ledger.change(server, async (change) => {
        const still = await change.db
          .selectFrom('rules')
          .select('version')
          .where('version', '=', rules.version)
          .where('state', '=', 'planned')
          .executeTakeFirst();
        if (!still) return change.abandon(undefined);
        await putInForce(change, rules.version);
      });
      return true;
    }
    if (!set) return false;
    await this.#ledger.change(server, (change) => applySome(change, set.change_set_id));
    return true;
  }
}
