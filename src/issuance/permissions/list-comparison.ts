import { type Kysely, sql } from 'kysely';
import { isMassRemoval } from '#core/access/holder-import.ts';
import type { HolderRow, ImportMode, ImportProblem } from '#core/access/holder-row.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import { readHolders, type StoredHolder } from './holder-rows.ts';
import {
  type CardChange,
  cardKeyText,
  changeBetween,
  type HolderChange,
  type HolderState,
  inOrder,
} from './holder-state.ts';
import type { ServerImportPreview } from './import-requests.ts';

type Db = Kysely<PermissionsTables>;

/** Rows in one transaction: whoever changes something at once waits for no more than one. */
export const rowsAtOnce = 200;

/** A planned change of one holder. */
export interface Planned {
  readonly holderId: string;
  readonly change: HolderChange;
}

/** Finds what a list that is staged would change, a portion of holders at a time, and counts it. */
export class ListComparison {
  readonly #db: Db;
  readonly #id: string;
  readonly #mode: ImportMode;
  readonly #counts = {
    holdersBefore: 0,
    added: 0,
    changed: 0,
    removed: 0,
    cardsAdded: 0,
    cardsChanged: 0,
    cardsRemoved: 0,
    losingAccess: 0,
    staySuspended: 0,
  };

  constructor(parts: { readonly db: Db; readonly id: string; readonly mode: ImportMode }) {
    this.#db = parts.db;
    this.#id = parts.id;
    this.#mode = parts.mode;
  }

  /** Lines that contradict one another or what is recorded: the same card twice, a person's number given to another. */
  async contradictions(): Promise<readonly ImportProblem[]> {
    const id = this.#id;
    const twice = await sql<{ line: number; first: number }>`
      select max(line) as line, min(line) as first from import_rows where import_id = ${id}
      group by profile_id, user_number, diversifier having count(*) > 1`.execute(this.#db);
    const shared = await sql<{ line: number }>`
      select max(line) as line from import_rows where import_id = ${id}
      group by profile_id, user_number having count(distinct holder_id) > 1`.execute(this.#db);
    // in a complete list whoever is not named is removed, with all cards
    const foreign =
      this.#mode === 'complete'
        ? []
        : (
            await sql<{ line: number }>`
      select distinct s.line as line from import_rows s
      join cards c on c.user_number = s.user_number and c.profile_id = s.profile_id
      where s.import_id = ${id} and c.holder_id <> s.holder_id and not exists (
        select 1 from import_rows t where t.import_id = ${id} and t.user_number = c.user_number
        and t.profile_id = c.profile_id and t.diversifier = c.diversifier)`.execute(this.#db)
          ).rows;
    return [
      ...twice.rows.map(({ line, first }) => ({
        line,
        text: `the same card as in line ${first}; remove one of the two`,
      })),
      ...[...shared.rows, ...foreign].map(({ line }) => ({
        line,
        text: 'the user number belongs to another holder already; give all its cards the same holder',
      })),
    ];
  }

  /** All changes, in portions; problems are lines of one holder that do not say the same. */
  async *changes(): AsyncIterable<{ planned: readonly Planned[]; problems: readonly ImportProblem[] }> {
    for (let after = ''; ; ) {
      const ids = await this.#stagedIds(after);
      if (ids.length === 0) break;
      after = ids.at(-1) ?? after;
      yield this.#compare(ids);
    }
    if (this.#mode === 'delta') yield* this.#takenFromOthers();
    else yield* this.#removals();
  }

  /** To be asked when all changes have been found. */
  async preview(): Promise<ServerImportPreview> {
    const { holdersBefore, able } = await this.#before();
    const { added, removed, losingAccess } = this.#counts;
    return {
      ...this.#counts,
      holdersBefore,
      holdersAfter: holdersBefore + added - removed,
      needsConfirmation: isMassRemoval(losingAccess, able),
    };
  }

  async #stagedIds(after: string): Promise<string[]> {
    const rows = await this.#db
      .selectFrom('import_rows')
      .select('holder_id')
      .distinct()
      .where('import_id', '=', this.#id)
      .where('holder_id', '>', after)
      .orderBy('holder_id')
      .limit(rowsAtOnce)
      .execute();
    return rows.map((row) => row.holder_id);
  }

  async #compare(ids: readonly string[]) {
    const staged = await this.#db
      .selectFrom('import_rows')
      .select(['holder_id', 'row'])
      .where('import_id', '=', this.#id)
      .where('holder_id', 'in', [...ids])
      .orderBy('holder_id')
      .orderBy('line')
      .execute();
    await this.#countTaken(ids);
    const known = new Map((await readHolders(this.#db, ids)).map((one) => [one.holderId, one]));
    const rowsOf = Map.groupBy(staged, (row) => row.holder_id);
    const planned: Planned[] = [];
    const problems: ImportProblem[] = [];
    for (const [holderId, rows] of rowsOf) {
      const lines = rows.map(({ row }) => JSON.parse(row) as HolderRow);
      problems.push(...differingLines(lines));
      const before = known.get(holderId);
      const change = changeBetween(before?.state, this.#wanted(lines, before?.state));
      this.#count(before, change, lines);
      if (change) planned.push({ holderId, change });
    }
    return { planned, problems };
  }

  /** What the lines of one holder make of it. */
  #wanted(lines: readonly HolderRow[], before: HolderState | undefined): HolderState {
    const [first] = lines;
    const kept = this.#mode === 'delta' ? before : undefined;
    const cards = new Map((kept?.cards ?? []).map((card) => [cardKeyText(card), card]));
    for (const line of lines) {
      const key = {
        profileId: line.profileId,
        userNumber: line.userNumber,
        diversifier: line.diversifier ?? '',
      };
      const old = cards.get(cardKeyText(key));
      cards.set(cardKeyText(key), {
        ...key,
        status: line.cardStatus ?? old?.status ?? 'active',
        keyVersion: line.keyVersion === undefined ? (old?.keyVersion ?? null) : line.keyVersion,
      });
    }
    return inOrder({
      status: first?.status ?? kept?.status ?? 'active',
      validFromMs: first?.validFromMs === undefined ? (kept?.validFromMs ?? null) : first.validFromMs,
      validUntilMs: first?.validUntilMs === undefined ? (kept?.validUntilMs ?? null) : first.validUntilMs,
      groups: first?.groups ?? kept?.groups ?? [],
      cards: [...cards.values()],
    });
  }

  #count(
    before: StoredHolder | undefined,
    change: HolderChange | undefined,
    lines: readonly HolderRow[],
  ): void {
    const counts = this.#counts;
    if (before?.suspended && (lines[0]?.status ?? 'active') === 'active') counts.staySuspended += 1;
    if (!change) return;
    const after = this.#wanted(lines, before?.state);
    counts[before ? 'changed' : 'added'] += 1;
    if (before && isAble(before.state) && !isAble(after)) counts.losingAccess += 1;
    if (change.kind === 'add') counts.cardsAdded += change.to.cards.length;
    if (change.kind === 'edit') this.#countCards(change.cards);
  }

  /** Holders who get a card of somebody who is suspended: it stays so. */
  async #countTaken(ids: readonly string[]): Promise<void> {
    const taken = await this.#db
      .selectFrom('import_rows as r')
      .innerJoin('cards as c', (join) =>
        join.onRef('c.user_number', '=', 'r.user_number').onRef('c.profile_id', '=', 'r.profile_id'),
      )
      .innerJoin('holder_suspensions as s', 's.holder_id', 'c.holder_id')
      .select('r.holder_id')
      .distinct()
      .where('r.import_id', '=', this.#id)
      .where('r.holder_id', 'in', [...ids])
      .whereRef('c.holder_id', '<>', 'r.holder_id')
      .execute();
    this.#counts.staySuspended += taken.length;
  }

  #countCards(changes: readonly CardChange[]): void {
    for (const { from, to } of changes) {
      if (!from) this.#counts.cardsAdded += 1;
      else this.#counts[to ? 'cardsChanged' : 'cardsRemoved'] += 1;
    }
  }

  /** Cards that a delta gives to somebody else leave the holders who have them, where the list does not name these. */
  async *#takenFromOthers() {
    const rows = await sql<{
      holder_id: string;
      profile_id: string;
      user_number: string;
      diversifier: string;
    }>`
      select c.holder_id, c.profile_id, c.user_number, c.diversifier from import_rows s
      join cards c on c.user_number = s.user_number and c.profile_id = s.profile_id and c.diversifier = s.diversifier
      where s.import_id = ${this.#id} and c.holder_id <> s.holder_id and not exists (
        select 1 from import_rows t where t.import_id = ${this.#id} and t.holder_id = c.holder_id)
      order by c.holder_id`.execute(this.#db);
    const lost = Map.groupBy(rows.rows, (row) => row.holder_id);
    const losers = [...lost.keys()];
    for (let from = 0; from < losers.length; from += rowsAtOnce) {
      const planned: Planned[] = [];
      for (const { holderId, state } of await readHolders(this.#db, losers.slice(from, from + rowsAtOnce))) {
        const gone = new Set(
          lost.get(holderId)?.map((row) => [row.profile_id, row.user_number, row.diversifier].join('\n')),
        );
        const after = { ...state, cards: state.cards.filter((card) => !gone.has(cardKeyText(card))) };
        const change = changeBetween(state, after);
        if (!change) continue;
        this.#counts.changed += 1;
        if (isAble(state) && !isAble(after)) this.#counts.losingAccess += 1;
        planned.push({ holderId, change });
      }
      yield { planned, problems: [] };
    }
  }

  /** Holders whom a complete list does not name. */
  async *#removals() {
    for (let after = ''; ; ) {
      const rows = await this.#db
        .selectFrom('holders as h')
        .select('h.holder_id')
        .where('h.holder_id', '>', after)
        .where((where) =>
          where.not(
            where.exists(
              where
                .selectFrom('import_rows as s')
                .select('s.line')
                .where('s.import_id', '=', this.#id)
                .whereRef('s.holder_id', '=', 'h.holder_id'),
            ),
          ),
        )
        .orderBy('h.holder_id')
        .limit(rowsAtOnce)
        .execute();
      if (rows.length === 0) return;
      const ids = rows.map((row) => row.holder_id);
      after = ids.at(-1) ?? after;
      for (const { state } of await readHolders(this.#db, ids)) {
        this.#counts.removed += 1;
        this.#counts.cardsRemoved += state.cards.length;
        if (isAble(state)) this.#counts.losingAccess += 1;
      }
      yield {
        planned: ids.map((holderId) => ({ holderId, change: { kind: 'remove' } as const })),
        problems: [],
      };
    }
  }

  async #before(): Promise<{ readonly holdersBefore: number; readonly able: number }> {
    const { rows } = await sql<{ holders: number; able: number }>`
      select (select count(*) from holders) as holders, (select count(*) from holders h
        where h.status = 'active' and h.group_list <> '' and exists (
          select 1 from cards c where c.holder_id = h.holder_id and c.status = 'active')) as able`.execute(
      this.#db,
    );
    return { holdersBefore: rows[0]?.holders ?? 0, able: rows[0]?.able ?? 0 };
  }
}

/** Whether anything could open for the holder. */
function isAble({ status, groups, cards }: HolderState): boolean {
  return status === 'active' && groups.length > 0 && cards.some((card) => card.status === 'active');
}

function differingLines([first, ...others]: readonly HolderRow[]): ImportProblem[] {
  const said = ({ status, validFromMs, validUntilMs, groups }: HolderRow) =>
    JSON.stringify([status, validFromMs, validUntilMs, groups]);
  return others
    .filter((line) => first && said(line) !== said(first))
    .map(({ line }) => ({
      line,
      text: `the same holder as in line ${first?.line ?? 0}, but with another status, validity or groups; both lines must say the same`,
    }));
}
