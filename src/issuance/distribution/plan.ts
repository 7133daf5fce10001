import type { Kysely } from 'kysely';
import { type HolidayDates, lacksHolidays } from '#core/access/calendar.ts';
import type { SiteRules } from '#core/access/site-rules.ts';
import { localParts } from '#core/access/time-zone.ts';
import { toHex } from '#core/bytes/bytes.ts';
import { chunkHash } from '#core/sync/bucket.ts';
import { rulesBytes } from '#core/sync/rules-chunk.ts';
import { viewOf } from '#core/sync/view.ts';
import { RulesVersions } from '../permissions/rules-versions.ts';
import type { Lease } from '../storage/lease.ts';
import type { Ledger } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import { keepChunks } from './chunk-store.ts';

type Db = Kysely<PermissionsTables>;

/** Public holidays from a year on, as rules are given them. */
export type Holidays = (firstYear: number) => HolidayDates;

/** What each terminal is to have by the rules in force and by its places. */
export interface Plan {
  /** of what it was made: other rules, places or a new year make another */
  readonly key: string;
  readonly terminals: readonly {
    readonly terminal: string;
    readonly part: string;
    readonly rules: Uint8Array;
  }[];
}

/** What a plan made now would be made of; undefined before the first rules. */
async function presentKey(db: Db): Promise<{ readonly version: number; readonly key: string } | undefined> {
  const rules = await db
    .selectFrom('rules')
    .select('version')
    .where('state', '=', 'in-force')
    .executeTakeFirst();
  const places = await db
    .selectFrom('terminal_places')
    .select((column) => column.fn.max('change_number').as('number'))
    .executeTakeFirst();
  return (
    rules && { version: rules.version, key: JSON.stringify([rules.version, Number(places?.number ?? 0)]) }
  );
}

/** Whether what terminals are to have is known, and was made of what is in force now. */
export async function isPlanned(db: Db, planKey: string): Promise<boolean> {
  const present = await presentKey(db);
  return present !== undefined && planKey.startsWith(present.key);
}

/** Makes plans; keeps the rules as they were read last, which seldom change. */
export class Planner {
  readonly #ledger: Ledger<PermissionsTables>;
  readonly #holidays: Holidays;
  readonly #organization: string;
  #rules: { readonly version: number; readonly rules: SiteRules } | undefined;

  constructor(parts: {
    readonly organization: string;
    readonly ledger: Ledger<PermissionsTables>;
    readonly holidays: Holidays;
  }) {
    this.#organization = parts.organization;
    this.#ledger = parts.ledger;
    this.#holidays = parts.holidays;
  }

  /** The plan of now, `nowMs` UTC, where it is another than that of `known`. */
  async next(known: string, nowMs: number): Promise<Plan | undefined> {
    const { db } = this.#ledger;
    const present = await presentKey(db);
    if (!present) return undefined;
    const rules = await this.#read(present.version);
    if (!rules) return undefined;
    const { year } = localParts(nowMs, rules.timeZone);
    const key = `${present.key} ${year}`;
    if (key === known) return undefined;
    const whole = lacksHolidays(rules) ? { ...rules, japaneseHolidays: this.#holidays(year - 1) } : rules;
    const places = await db.selectFrom('terminal_places').selectAll().orderBy('terminal_id').execute();
    return {
      key,
      terminals: places.map(({ terminal_id, doors, zones, services }) => {
        const list = (json: string) => JSON.parse(json) as string[];
        const view = viewOf(whole, { doors: list(doors), zones: list(zones), services: list(services) });
        return { terminal: terminal_id, part: view.holderPart, rules: rulesBytes(view.rules) };
      }),
    };
  }

  async #read(version: number): Promise<SiteRules | undefined> {
    if (this.#rules?.version === version) return this.#rules.rules;
    const versions = new RulesVersions({ organization: this.#organization, ledger: this.#ledger });
    const found = await versions.find(version);
    if (found) this.#rules = { version, rules: found.rules };
    return found?.rules;
  }
}

const unissued = {
  version: 0,
  view_id: 0,
  rules_hash: '',
  rules_number: 0,
  root: '',
  bits: 0,
  holders: 0,
  change_number: 0,
  issued_version: 0,
  issued_at_ms: 0,
};

const newView = {
  placed_after: '',
  bits: -1,
  holders: 0,
  filled: 0,
  changed: 1,
  root: null,
  root_bits: -1,
  root_number: 0,
  root_before: 0,
};
const writtenAtOnce = 50;

/**
 * Writes a plan, some terminals at a time: it counts once all are. Views that are new are begun. Resolves to false where
 * another process has taken that over.
 */
export async function writePlan(
  db: Db,
  plan: Plan,
  { nowMs, lease }: { readonly nowMs: number; readonly lease: Lease<PermissionsTables> },
): Promise<boolean> {
  const change = (action: (transaction: Db) => Promise<void>): Promise<boolean> =>
    db.transaction().execute(async (transaction) => {
      const kept = await lease.keep(transaction);
      if (kept) await action(transaction);
      return kept;
    });
  for (let at = 0; at < plan.terminals.length; at += writtenAtOnce) {
    const some = plan.terminals.slice(at, at + writtenAtOnce);
    if (!(await change((transaction) => writeSome(transaction, some, nowMs)))) return false;
    await lease.hold();
  }
  return change(async (transaction) => {
    await transaction.updateTable('distribution').set({ plan_key: plan.key }).execute();
  });
}

async function writeSome(db: Db, some: Plan['terminals'], nowMs: number): Promise<void> {
  const rules = new Map(some.map((one) => [toHex(chunkHash(one.rules)), one.rules]));
  await keepChunks(
    db,
    [...rules.values()].map((bytes) => ({ bytes, uses: 0 })),
    nowMs,
  );
  const views = await viewsOf(db, some);
  for (const { terminal, part, rules: bytes } of some) {
    const planned = { planned_view: views.get(part) ?? 0, planned_rules: toHex(chunkHash(bytes)) };
    await db
      .insertInto('terminal_policies')
      .values({ terminal_id: terminal, ...planned, ...unissued })
      .onConflict((on) => on.column('terminal_id').doUpdateSet(planned))
      .execute();
  }
}

/** The number of each view, those that are new begun. */
async function viewsOf(db: Db, terminals: Plan['terminals']): Promise<ReadonlyMap<string, number>> {
  const known = await db.selectFrom('views').select(['view_id', 'part']).execute();
  const numbers = new Map(known.map(({ view_id, part }) => [part, view_id]));
  for (const { part } of terminals) {
    if (numbers.has(part)) continue;
    const view_id = 1 + Math.max(0, ...numbers.values());
    numbers.set(part, view_id);
    await db
      .insertInto('views')
      .values({ view_id, part, ...newView })
      .execute();
  }
  return numbers;
}
