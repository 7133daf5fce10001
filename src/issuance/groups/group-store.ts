import type { Kysely, Transaction } from 'kysely';
import { type Conflict, conflictIn } from '#core/access/fact-kinds.ts';
import { groupsOfFact, heldTogether, sharers } from '#core/access/group-facts.ts';
import { rulesOfDoor } from '#core/access/policy.ts';
import type { SiteRules } from '#core/access/site-rules.ts';
import { toHex } from '#core/bytes/bytes.ts';
import { canonicalJson } from '#core/journal/canonical-json.ts';
import type { JsonValue } from '#core/journal/record.ts';
import {
  factsAtOnce,
  type GroupChange,
  type GroupFacts,
  type GroupReport,
} from '#core/sync/group-message.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { Ledger } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';

type Row = PermissionsTables['group_facts'];
type State = Pick<PermissionsTables['group_state'], 'server' | 'number'>;
type Db = Kysely<PermissionsTables>;

/** Two terminals granted, each by what it knew, what they would not have granted together. */
export interface FoundConflict {
  readonly number: number;
  readonly kind: Conflict;
  readonly key: string;
  /** absent: about a zone or an item */
  readonly holder?: string;
  readonly terminal: string;
  readonly other: string;
  readonly foundAtMs: number;
}

/** Facts for one terminal after a number, and up to another. */
export type FactsAfter = Pick<GroupFacts, 'facts' | 'more'> & {
  readonly upTo: number;
  /** keys of facts that fit no message, and are told to nobody */
  readonly tooLarge: readonly string[];
};

/** Incarnations of a terminal that are known: whoever makes them up fills no table. */
const writersKept = 16;
const conflictsKeptMs = 90 * 86_400_000;
/** bytes of facts that go into one message; a single fact may be larger */
const mostBytes = 100_000;
/** of a single fact: with what stands around it, it fits `longestGroupFacts` */
const mostFactBytes = 170_000;

/** What the terminals of one organization that count together know, as each of them says, and joined. */
export class GroupStore {
  readonly #ledger: Ledger<PermissionsTables>;
  readonly #entropy: Entropy;

  constructor(parts: { readonly ledger: Ledger<PermissionsTables>; readonly entropy: Entropy }) {
    this.#ledger = parts.ledger;
    this.#entropy = parts.entropy;
  }

  /**
   * Takes what a terminal tells; undefined for one that another has taken the place of. Of what two terminals did to each
   * other is told what was not known before.
   */
  take(
    terminal: string,
    report: GroupReport,
    at: { readonly rules: SiteRules; readonly nowMs: number },
  ): Promise<(State & { readonly conflicts: readonly FoundConflict[] }) | undefined> {
    return this.#ledger.db.transaction().execute(async (db) => {
      const state = await this.#lock(db, report);
      if (!(await isHeard(db, terminal, report.incarnation, state.number))) return undefined;
      const conflicts: FoundConflict[] = [];
      let { number } = state;
      for (const change of report.changes) {
        const among = sharers(change.key, terminal, at.rules);
        if (among.size < 2) continue;
        const known = await registers(db, change);
        const own = known.find((row) => row.terminal_id === terminal);
        if (own && own.incarnation === report.incarnation && own.n >= change.n) continue;
        const counting = known.filter((one) => among.has(one.terminal_id));
        if (isToldAgain(change) && saysNothingNew(change, counting, at.rules)) continue;
        number += 1;
        const row = { ...rowOf(change), terminal_id: terminal, incarnation: report.incarnation, number };
        await keep(db, row);
        const others = counting.filter((one) => one !== own);
        conflicts.push(...conflictsOf({ change, row, others, ...at }));
      }
      await db.updateTable('group_state').set({ number }).execute();
      if (conflicts.length > 0)
        await db.insertInto('group_conflicts').values(conflicts.map(stored)).execute();
      return { server: state.server, number, conflicts };
    });
  }

  async state(): Promise<State> {
    return this.#ledger.db.selectFrom('group_state').select(['server', 'number']).executeTakeFirstOrThrow();
  }

  /** What holds for `terminal` of what has changed after `number`. */
  async after(terminal: string, number: number, rules: SiteRules): Promise<FactsAfter> {
    const { db } = this.#ledger;
    const upTo = (await this.state()).number;
    const changed = await db
      .selectFrom('group_facts')
      .select(['holder_id', 'key'])
      .select((of) => of.fn.max('number').as('number'))
      .where('number', '>', number)
      .groupBy(['holder_id', 'key'])
      .orderBy('number')
      .limit(factsAtOnce + 1)
      .execute();
    const facts: GroupFacts['facts'] = [];
    const tooLarge: string[] = [];
    let bytes = 0;
    let reached = number;
    for (const { holder_id, key, number } of changed.slice(0, factsAtOnce)) {
      const among = sharers(key, terminal, rules);
      const fact = among.size > 1 ? await joined(db, { holder_id, key }, { terminal, among }) : undefined;
      const size = fact ? Buffer.byteLength(JSON.stringify(fact)) : 0;
      if (size > mostFactBytes) tooLarge.push(key);
      else if (fact) {
        bytes += size;
        if (bytes > mostBytes && facts.length > 0) return { facts, tooLarge, more: true, upTo: reached };
        facts.push(fact);
      }
      reached = Number(number);
    }
    const more = changed.length > factsAtOnce;
    return { facts, tooLarge, more, upTo: more ? reached : Math.max(upTo, reached) };
  }

  /** Forgets those who are holders no more, and conflicts of long ago. */
  async clean(nowMs: number): Promise<void> {
    await this.#ledger.db.transaction().execute(async (db) => {
      await db
        .deleteFrom('group_facts')
        .where('holder_id', '<>', '')
        .where('holder_id', 'not in', (of) => of.selectFrom('holders').select('holder_id'))
        .execute();
      await db
        .deleteFrom('group_conflicts')
        .where('found_at_ms', '<', nowMs - conflictsKeptMs)
        .execute();
    });
  }

  /** The last first. */
  async conflicts(before: number, limit: number): Promise<readonly FoundConflict[]> {
    const rows = await this.#ledger.db
      .selectFrom('group_conflicts')
      .selectAll()
      .where('number', '<', before)
      .orderBy('number', 'desc')
      .orderBy('other_terminal_id')
      .limit(limit)
      .execute();
    return rows.map((row) => ({
      ...{ number: row.number, kind: row.kind, key: row.key, foundAtMs: row.found_at_ms },
      ...{ terminal: row.terminal_id, other: row.other_terminal_id },
      ...(row.holder_id !== '' && { holder: row.holder_id }),
    }));
  }

  /** A terminal that has heard of more than there is here shows that something was forgotten: then all is told anew. */
  async #lock(db: Transaction<PermissionsTables>, { heard }: GroupReport): Promise<State> {
    const state = await db
      .updateTable('group_state')
      .set((row) => ({ number: row.ref('number') }))
      .returning(['server', 'number'])
      .executeTakeFirstOrThrow();
    const forgot = heard?.server === state.server && heard.number > state.number;
    if (state.server !== '' && !forgot) return state;
    const server = toHex(this.#entropy.bytes(16));
    await db.updateTable('group_state').set({ server }).execute();
    return { ...state, server };
  }
}

/** Whether this incarnation is the last of its terminal that came; one that comes for the first time is. */
async function isHeard(db: Db, terminal: string, incarnation: string, number: number): Promise<boolean> {
  const known = await db
    .selectFrom('group_writers')
    .selectAll()
    .where('terminal_id', '=', terminal)
    .orderBy('came', 'desc')
    .execute();
  if (known[0]?.incarnation === incarnation) return true;
  if (known.some((one) => one.incarnation === incarnation)) return false;
  const came = Math.max(number, (known[0]?.came ?? 0) + 1);
  await db.insertInto('group_writers').values({ terminal_id: terminal, incarnation, came }).execute();
  const last = known[writersKept - 2];
  if (last)
    await db
      .deleteFrom('group_writers')
      .where('terminal_id', '=', terminal)
      .where('came', '<', last.came)
      .execute();
  return true;
}

function registers(db: Db, { key, holder }: Pick<GroupChange, 'key' | 'holder'>): Promise<Row[]> {
  return db
    .selectFrom('group_facts')
    .selectAll()
    .where('holder_id', '=', holder ?? '')
    .where('key', '=', key)
    .execute();
}

async function joined(
  db: Db,
  { holder_id, key }: Pick<Row, 'holder_id' | 'key'>,
  { terminal, among }: { readonly terminal: string; readonly among: ReadonlySet<string> },
): Promise<GroupFacts['facts'][number]> {
  const about = { key, ...(holder_id !== '' && { holder: holder_id }) };
  const rows = (await registers(db, about)).filter((row) => among.has(row.terminal_id));
  const value = held(key, rows);
  const own = rows.find((row) => row.terminal_id === terminal);
  return {
    ...about,
    ...(value !== undefined && { value }),
    ...(own && { own: { incarnation: own.incarnation, n: own.n } }),
  };
}

function held(key: string, rows: readonly Row[]): JsonValue | undefined {
  return heldTogether(
    key,
    rows.map((row) => ({
      value: storedValue(row),
      ...{ atMs: row.at_ms, number: row.number, heard: row.heard },
    })),
  );
}

/** Told again, it is no decision. */
function isToldAgain({ atMs }: GroupChange): boolean {
  return atMs === 0;
}

/** Whether it is what holds already, for all who share it: of many terminals that tell it anew the others hear once. */
function saysNothingNew({ key, value }: GroupChange, known: readonly Row[], rules: SiteRules): boolean {
  if (known.length === 0 || value === undefined || groupsOfFact(key, rules).length > 1) return false;
  const before = held(key, known);
  return before !== undefined && canonicalJson(before) === canonicalJson(value);
}

async function keep(db: Db, row: Row): Promise<void> {
  const { holder_id: _, key: __, terminal_id: ___, ...changed } = row;
  await db
    .insertInto('group_facts')
    .values(row)
    .onConflict((at) => at.columns(['holder_id', 'key', 'terminal_id']).doUpdateSet(changed))
    .execute();
}

function rowOf({
  key,
  holder,
  n,
  value,
  atMs,
  heard,
}: GroupChange): Omit<Row, 'terminal_id' | 'incarnation' | 'number'> {
  const stored = value === undefined ? null : JSON.stringify(value);
  return { holder_id: holder ?? '', key, n, value: stored, at_ms: atMs, heard };
}

function storedValue({ value }: Pick<Row, 'value'>): JsonValue | undefined {
  return value === null ? undefined : (JSON.parse(value) as JsonValue);
}

/** What the change did together with what its terminal had not heard of. */
function conflictsOf(found: {
  readonly change: GroupChange;
  readonly row: Row;
  readonly others: readonly Row[];
  readonly rules: SiteRules;
  readonly nowMs: number;
}): readonly FoundConflict[] {
  const { change, row, others, rules, nowMs } = found;
  const { key, holder } = change;
  if (isToldAgain(change)) return [];
  return others.flatMap((other) => {
    if (other.number <= change.heard) return [];
    const asked = { key, base: undefined, ours: change.value, theirs: storedValue(other) };
    const kind = conflictIn({ ...asked, rules: rulesOfDoor(rules, undefined) });
    if (!kind) return [];
    return [
      {
        ...{ number: row.number, kind, key, terminal: row.terminal_id, other: other.terminal_id },
        ...(holder !== undefined && { holder }),
        foundAtMs: nowMs,
      },
    ];
  });
}

function stored({ number, kind, key, holder, terminal, other, foundAtMs }: FoundConflict) {
  return {
    ...{ number, kind, key, holder_id: holder ?? '', terminal_id: terminal },
    ...{ other_terminal_id: other, found_at_ms: foundAtMs },
  };
}
