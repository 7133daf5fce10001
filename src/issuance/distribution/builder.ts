import type { Kysely } from 'kysely';
import { holdersRoot } from '#core/sync/bucket.ts';
import { DistributionFeed } from '../permissions/distribution-feed.ts';
import type { Lease } from '../storage/lease.ts';
import type { Ledger } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import { sweepChunks } from './chunk-store.ts';
import { type Holidays, isPlanned, Planner, writePlan } from './plan.ts';
import { makeBuckets, placeSome, takeInto, type ViewRow } from './view-holders.ts';
import { dropPage, readIndex } from './view-index.ts';

type Db = Kysely<PermissionsTables>;

/** what one step does at most: whoever changes something waits for no more than one */
const changesAtOnce = 100;
const placedAtOnce = 500;
const bucketsAtOnce = 64;
const forgottenAtOnce = 2_000;
const sweepEveryMs = 60_000;

/**
 * Follows what changes in an organization, and builds from it what its terminals are to have: buckets, indexes, rules
 * and the version of each terminal. Everything of a version is as of one change number, after which nothing was
 * half applied. One process of an organization builds: the one that has the lease.
 */
export class DistributionBuilder {
  readonly #ledger: Ledger<PermissionsTables>;
  readonly #lease: Lease<PermissionsTables>;
  readonly #sealed: () => void;
  readonly #planner: Planner;
  #sweptAtMs = Number.NEGATIVE_INFINITY;

  constructor(parts: {
    readonly organization: string;
    readonly ledger: Ledger<PermissionsTables>;
    readonly holidays: Holidays;
    readonly lease: Lease<PermissionsTables>;
    /** terminals are to have something else from now on */
    readonly sealed: () => void;
  }) {
    this.#ledger = parts.ledger;
    this.#lease = parts.lease;
    this.#sealed = parts.sealed;
    this.#planner = new Planner(parts);
  }

  /** Takes one short step, `nowMs` UTC. Resolves to whether there may be more to do. A step cut off is taken again. */
  async step(nowMs: number): Promise<boolean> {
    const { db } = this.#ledger;
    const known = await db.selectFrom('distribution').selectAll().executeTakeFirstOrThrow();
    const plan = await this.#planner.next(known.plan_key, nowMs);
    if (plan) return (await this.#lease.hold()) && writePlan(db, plan, { nowMs, lease: this.#lease });
    // most looks find nothing, and lock nobody out
    if (!(await isAnythingToDo(db, known.taken))) return this.#sweep(nowMs);
    const built = await this.#change((transaction) => build(transaction, nowMs));
    if (built === 'sealed') this.#sealed();
    return built === 'more';
  }

  /** Forgets some of what no terminal is to have any more, a minute after there was nothing to forget. */
  async #sweep(nowMs: number): Promise<boolean> {
    if (Math.abs(nowMs - this.#sweptAtMs) < sweepEveryMs) return false;
    const more = await this.#change((transaction) => sweep(transaction, nowMs));
    if (!more) this.#sweptAtMs = nowMs;
    return more === true;
  }

  /** Does nothing where another process builds. */
  async #change<R>(action: (transaction: Db) => Promise<R>): Promise<R | undefined> {
    if (!(await this.#lease.hold())) return undefined;
    return this.#ledger.db
      .transaction()
      .execute(async (transaction) =>
        (await this.#lease.keep(transaction)) ? action(transaction) : undefined,
      );
  }
}

async function isAnythingToDo(db: Db, taken: number): Promise<boolean> {
  const { change_number } = await db
    .selectFrom('server_state')
    .select('change_number')
    .executeTakeFirstOrThrow();
  if (change_number > taken) return true;
  const unsealed = await db
    .selectFrom('terminal_policies as t')
    .innerJoin('views as v', 'v.view_id', 't.planned_view')
    .select('t.terminal_id')
    .where((where) =>
      where.or([
        where('v.changed', '=', 1),
        where('t.version', '=', 0),
        where('t.change_number', '<', change_number),
        where('t.rules_hash', '<>', where.ref('t.planned_rules')),
        where('t.view_id', '<>', where.ref('t.planned_view')),
      ]),
    )
    .limit(1)
    .execute();
  return unsealed.length > 0;
}

/** One step; nobody changes anything until its transaction ends. */
async function build(db: Db, nowMs: number): Promise<'more' | 'sealed' | 'unsettled'> {
  // the row that every change locks first
  const { change_number: head, settled } = await db
    .updateTable('server_state')
    .set((row) => ({ settled: row.ref('settled') }))
    .returning(['change_number', 'settled'])
    .executeTakeFirstOrThrow();
  const taken = await takeChanges(db);
  const views = await plannedViews(db);
  for (const view of views) {
    if (view.placed_after !== null) {
      await placeSome(db, view, placedAtOnce);
      return 'more';
    }
  }
  if (taken < head) return 'more';
  // half of a reorganization is no policy: what it changes is taken note of, and made into buckets once it is whole
  if (settled === 0) return 'unsettled';
  let left = bucketsAtOnce;
  for (const view of views) {
    left -= await makeBuckets(db, view, { limit: left, number: head, nowMs });
    if (left === 0) return 'more';
  }
  const { plan_key } = await db.selectFrom('distribution').select('plan_key').executeTakeFirstOrThrow();
  if (!(await isPlanned(db, plan_key))) return 'more';
  for (const { view_id } of views) await seal(db, view_id, head);
  return 'sealed';
}

/** Takes what has changed into all views; resolves to the number up to which. */
async function takeChanges(db: Db): Promise<number> {
  const { taken } = await db.selectFrom('distribution').select('taken').executeTakeFirstOrThrow();
  const views = await db.selectFrom('views').selectAll().execute();
  const feed = new DistributionFeed({ db });
  if (views.length === 0) {
    const head = await feed.changeNumber();
    await db.updateTable('distribution').set({ taken: head }).execute();
    return head;
  }
  const since = await feed.changesSince(taken, changesAtOnce);
  if (since.changeNumber === taken) return taken;
  const holders = await feed.holders(since.changed);
  const ids = [...new Set([...since.changed, ...since.removed])];
  for (const view of views) await takeInto(db, view, { holders, ids });
  await db.updateTable('distribution').set({ taken: since.changeNumber }).execute();
  return since.changeNumber;
}

/** The views that terminals are to have. */
function plannedViews(db: Db): Promise<ViewRow[]> {
  return db
    .selectFrom('views')
    .selectAll()
    .where('view_id', 'in', (sub) => sub.selectFrom('terminal_policies').select('planned_view'))
    .orderBy('view_id')
    .execute();
}

/** Gives the terminals of a view, whose buckets are all made, what the view has now: as of change `head`. */
async function seal(db: Db, view_id: number, head: number): Promise<void> {
  const view = await db
    .selectFrom('views')
    .selectAll()
    .where('view_id', '=', view_id)
    .executeTakeFirstOrThrow();
  const root = view.changed === 1 || view.root === null ? holdersRoot(await readIndex(db, view)) : view.root;
  if (root !== view.root || view.bits !== view.root_bits) {
    // another number of buckets is another index altogether: there is nothing to send of it in a message
    const root_before = view.bits === view.root_bits ? view.root_number : head;
    await db
      .updateTable('views')
      .set({ root, root_bits: view.bits, root_number: head, root_before })
      .where('view_id', '=', view_id)
      .execute();
  }
  await db.updateTable('views').set({ changed: 0 }).where('view_id', '=', view_id).execute();
  await give(db, { ...view, root }, head);
}

/** Each terminal of a sealed view that has anything else until now gets a version more; all have the changes up to `head`. */
async function give(db: Db, view: ViewRow & { readonly root: string }, head: number): Promise<void> {
  const { view_id, root, bits, holders } = view;
  const planned = db.updateTable('terminal_policies').where('planned_view', '=', view_id);
  await planned.set({ rules_number: head }).whereRef('rules_hash', '<>', 'planned_rules').execute();
  await planned
    .set((row) => ({
      version: row('version', '+', 1),
      view_id,
      rules_hash: row.ref('planned_rules'),
      root,
      bits,
      holders,
    }))
    .where((where) =>
      where.or([
        where('version', '=', 0),
        where('rules_hash', '<>', where.ref('planned_rules')),
        where('root', '<>', root),
        where('bits', '<>', bits),
        where('view_id', '<>', view_id),
      ]),
    )
    .execute();
  await planned.set({ change_number: head }).where('change_number', '<', head).execute();
}

async function sweep(db: Db, nowMs: number): Promise<boolean> {
  const views = await db.selectFrom('views').selectAll().execute();
  const terminals = await db
    .selectFrom('terminal_policies')
    .select(['planned_view', 'view_id'])
    .distinct()
    .execute();
  const used = new Set(terminals.flatMap(({ planned_view, view_id }) => [planned_view, view_id]));
  for (const view of views) {
    const isUsed = used.has(view.view_id);
    // what was sealed last can be fetched until the next is
    const keep = isUsed ? [view.bits, view.root_bits] : [];
    if (await dropPage(db, view.view_id, keep, nowMs)) return true;
    if (!isUsed) return forget(db, view.view_id);
  }
  return sweepChunks(db, nowMs);
}

/** Forgets some of a view that no terminal has, whose pages are gone. */
async function forget(db: Db, view_id: number): Promise<true> {
  const some = await db
    .selectFrom('view_holders')
    .select(['place', 'holder_id'])
    .where('view_id', '=', view_id)
    .orderBy('place')
    .orderBy('holder_id')
    .limit(forgottenAtOnce)
    .execute();
  const last = some.at(-1);
  if (last) {
    await db
      .deleteFrom('view_holders')
      .where('view_id', '=', view_id)
      .where('place', '<=', last.place)
      .execute();
    return true;
  }
  for (const table of ['marked_buckets', 'bucket_changes', 'views'] as const) {
    await db.deleteFrom(table).where('view_id', '=', view_id).execute();
  }
  return true;
}
