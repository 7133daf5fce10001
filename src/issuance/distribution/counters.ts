import type { PolicyStatus } from '#core/sync/presence.ts';
import type { Clock } from '#ports/clock.ts';
import type { Actor, Ledger } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';

/** Further ahead of this server no copy of its database is: such a number was made up, or signed with a stolen key. */
const furthest = 1_000_000;
const raisedEveryMs = 60_000;

/**
 * Numbers of changes and of policies, by which terminals know what is later. A server whose database was put back, or
 * taken over by a copy that lacked the last of it, counts on from what its terminals know: else what it revokes
 * would be older to them.
 */
export class Counters {
  readonly #ledger: Ledger<PermissionsTables>;
  readonly #clock: Pick<Clock, 'utcMs'>;
  /** milliseconds UTC */
  readonly #raisedAtMs = new Map<string, number>();

  constructor(parts: { readonly ledger: Ledger<PermissionsTables>; readonly clock: Pick<Clock, 'utcMs'> }) {
    this.#ledger = parts.ledger;
    this.#clock = parts.clock;
  }

  /**
   * Goes beyond what a terminal has seen signed under the root that counts here, `rootVersion`. `raised`: to be asked
   * again, for its policy is numbered anew once the changes are in it.
   */
  async follow(
    terminal: string,
    { version, changes }: PolicyStatus['reached'],
    rootVersion: number,
  ): Promise<'known' | 'raised' | 'implausible'> {
    const said = (progress: typeof version) => (progress.rootVersion === rootVersion ? progress.number : 0);
    const reached = { version: said(version), changeNumber: said(changes) };
    const own = await this.#own(terminal);
    const policyBehind = own.policy && reached.version - own.policy.version;
    const changesBehind = reached.changeNumber - own.changeNumber;
    if (changesBehind <= 0 && !(policyBehind && policyBehind > 0)) return 'known';
    if (Math.max(changesBehind, policyBehind ?? 0) > furthest) return 'implausible';
    // a policy of a later version that has fewer changes would be older to the terminal
    const isReady = own.policy !== undefined && own.policy.changeNumber >= reached.changeNumber;
    if ((changesBehind > 0 || isReady) && this.#isTime(`${terminal} ${changesBehind > 0}`))
      await this.#raise(terminal, reached);
    return 'raised';
  }

  /** A terminal that makes up numbers fills no record with them. */
  #isTime(what: string): boolean {
    const nowMs = this.#clock.utcMs();
    const sinceMs = nowMs - (this.#raisedAtMs.get(what) ?? Number.NEGATIVE_INFINITY);
    if (sinceMs >= 0 && sinceMs < raisedEveryMs) return false;
    this.#raisedAtMs.set(what, nowMs);
    return true;
  }

  /** Goes beyond everything that may have been signed since the copy from which this database was restored. */
  async leap(actor: Actor): Promise<void> {
    await this.#ledger.change(actor, async ({ db, changeNumber, audit }) => {
      await db
        .updateTable('server_state')
        .set({ change_number: changeNumber + furthest })
        .execute();
      await db
        .updateTable('terminal_policies')
        .set((row) => ({ version: row('version', '+', furthest) }))
        .where('version', '>', 0)
        .execute();
      await audit({ action: 'counters-raised', body: { by: furthest } });
    });
  }

  async #raise(
    terminal: string,
    reached: { readonly version: number; readonly changeNumber: number },
  ): Promise<void> {
    const actor: Actor = { id: `terminal:${terminal}`, via: 'server' };
    await this.#ledger.change(actor, async ({ db, changeNumber, audit }) => {
      await db
        .updateTable('server_state')
        .set({ change_number: Math.max(changeNumber, reached.changeNumber + 1) })
        .execute();
      await db
        .updateTable('terminal_policies')
        .set({ version: reached.version + 1 })
        .where('terminal_id', '=', terminal)
        .where('version', '>', 0)
        .where('version', '<=', reached.version)
        .where('change_number', '>=', reached.changeNumber)
        .execute();
      await audit({ action: 'counters-raised', body: { terminal, ...reached } });
    });
  }

  async #own(terminal: string) {
    const { db } = this.#ledger;
    const state = await db.selectFrom('server_state').select('change_number').executeTakeFirstOrThrow();
    const policy = await db
      .selectFrom('terminal_policies')
      .select(['version', 'change_number as changeNumber'])
      .where('terminal_id', '=', terminal)
      .where('version', '>', 0)
      .executeTakeFirst();
    return { policy, changeNumber: state.change_number };
  }
}
