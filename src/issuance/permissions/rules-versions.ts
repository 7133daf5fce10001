import type { Kysely } from 'kysely';
import { type SiteRules, siteRulesSchema } from '#core/access/site-rules.ts';
import { canonicalJson } from '#core/journal/canonical-json.ts';
import type { JsonValue } from '#core/journal/record.ts';
import type { Actor, Change, Ledger } from '../storage/ledger.ts';
import type { PermissionsTables, RulesState } from '../storage/permissions-tables.ts';

type Db = Kysely<PermissionsTables>;

/** One version of the rules of an organization: everything of its policy but the holders. */
export interface RulesVersion {
  readonly version: number;
  readonly state: RulesState;
  readonly inForceFromMs: number;
  readonly madeBy: string;
  readonly madeAtMs: number;
  /** of the change that put it in force */
  readonly changeNumber?: number;
}

export interface RulesDocument extends RulesVersion {
  /** as it was written, for people to edit */
  readonly document: JsonValue;
  /** what it means, with all defaults */
  readonly rules: SiteRules;
}

export type RulesOutcome =
  | { readonly kind: 'made'; readonly version: RulesVersion }
  /** other rules have come into force since those that were edited */
  | { readonly kind: 'changed-meanwhile' }
  | {
      readonly kind: 'invalid';
      readonly problems: readonly { readonly path: string; readonly text: string }[];
    };

export interface NewRules {
  readonly document: JsonValue;
  /** absent: at once */
  readonly inForceFromMs?: number;
  /** version that was edited; absent: the first */
  readonly editedVersion?: number;
}

/** The rules of one organization, version by version; each is in force from its moment until the next one's. */
export class RulesVersions {
  readonly #organization: string;
  readonly #ledger: Ledger<PermissionsTables>;

  constructor(parts: { readonly organization: string; readonly ledger: Ledger<PermissionsTables> }) {
    this.#organization = parts.organization;
    this.#ledger = parts.ledger;
  }

  async list(): Promise<readonly RulesVersion[]> {
    const rows = await this.#ledger.db
      .selectFrom('rules')
      .selectAll()
      .orderBy('version', 'desc')
      .limit(200)
      .execute();
    return rows.map(versionOf);
  }

  async find(version: number): Promise<RulesDocument | undefined> {
    const row = await this.#ledger.db
      .selectFrom('rules')
      .selectAll()
      .where('version', '=', version)
      .executeTakeFirst();
    return row && documentOf(row);
  }

  /** Checks rules without keeping them. */
  check(document: JsonValue): Extract<RulesOutcome, { kind: 'invalid' }> | undefined {
    const parsed = siteRulesSchema.safeParse(document);
    const problems = (parsed.error?.issues ?? []).map(({ path, message }) => ({
      path: path.join('.'),
      text: message,
    }));
    if (parsed.success && parsed.data.organization !== this.#organization) {
      problems.push({ path: 'organization', text: `must be "${this.#organization}", whose rules these are` });
    }
    return problems.length > 0 ? { kind: 'invalid', problems } : undefined;
  }

  /**
   * Makes a version that comes into force at once or at its moment. Invalid where one before it is planned for later,
   * which would undo this one whole.
   */
  async make({ document, inForceFromMs, editedVersion }: NewRules, actor: Actor): Promise<RulesOutcome> {
    const invalid = this.check(document);
    if (invalid) return invalid;
    return this.#ledger.change(actor, async (change): Promise<RulesOutcome> => {
      const { db, atMs, changeNumber, audit, abandon } = change;
      const last = await db
        .selectFrom('rules')
        .select((column) => column.fn.max('version').as('version'))
        .executeTakeFirst();
      if ((last?.version ?? undefined) !== editedVersion) return abandon({ kind: 'changed-meanwhile' });
      const from = Math.max(atMs, inForceFromMs ?? atMs);
      const undoing = await db
        .selectFrom('rules')
        .select(['version', 'in_force_from_ms'])
        .where('state', '=', 'planned')
        .where('in_force_from_ms', '>', from)
        .orderBy('in_force_from_ms')
        .executeTakeFirst();
      if (undoing) {
        const moment = new Date(undoing.in_force_from_ms).toISOString();
        const text = `version ${undoing.version}, planned for ${moment}, would undo this; cancel it and plan it anew from this`;
        return abandon({ kind: 'invalid', problems: [{ path: 'inForceFrom', text }] });
      }
      const row: PermissionsTables['rules'] = {
        version: (last?.version ?? 0) + 1,
        in_force_from_ms: from,
        state: 'planned',
        document: canonicalJson(document),
        made_by: actor.id,
        made_at_ms: atMs,
        change_number: null,
      };
      await db.insertInto('rules').values(row).execute();
      await audit({ action: 'rules-made', body: { version: row.version, inForceFromMs: from } });
      if (from > atMs) return { kind: 'made', version: versionOf(row) };
      await putInForce(change, row.version);
      return {
        kind: 'made',
        version: versionOf({ ...row, state: 'in-force', change_number: changeNumber }),
      };
    });
  }

  /** Whether there was a planned version to cancel. */
  async cancel(version: number, actor: Actor): Promise<boolean> {
    return this.#ledger.change(actor, async ({ db, audit, abandon }) => {
      const cancelled = await db
        .updateTable('rules')
        .set({ state: 'cancelled' })
        .where('version', '=', version)
        .where('state', '=', 'planned')
        .executeTakeFirst();
      if (cancelled.numUpdatedRows !== 1n) return abandon(false);
      await audit({ action: 'rules-cancelled', body: { version } });
      return true;
    });
  }
}

/** The rules in force at `atMs`, now or to come; undefined before the first. */
export async function rulesAt(db: Db, atMs: number): Promise<RulesDocument | undefined> {
  const row = await db
    .selectFrom('rules')
    .selectAll()
    .where((where) =>
      where.or([
        where('state', '=', 'in-force'),
        where.and([where('state', '=', 'planned'), where('in_force_from_ms', '<=', atMs)]),
      ]),
    )
    .orderBy('in_force_from_ms', 'desc')
    .orderBy('version', 'desc')
    .executeTakeFirst();
  return row && documentOf(row);
}

/** Puts a planned version in force, inside a change; the one before it is replaced. */
export async function putInForce(
  { db, changeNumber, audit }: Change<PermissionsTables>,
  version: number,
): Promise<void> {
  await db.updateTable('rules').set({ state: 'replaced' }).where('state', '=', 'in-force').execute();
  await db
    .updateTable('rules')
    .set({ state: 'in-force', change_number: changeNumber })
    .where('version', '=', version)
    .execute();
  await audit({ action: 'rules-in-force', body: { version } });
}

function versionOf(row: PermissionsTables['rules']): RulesVersion {
  return {
    version: row.version,
    state: row.state,
    inForceFromMs: row.in_force_from_ms,
    madeBy: row.made_by,
    madeAtMs: row.made_at_ms,
    ...(row.change_number === null ? {} : { changeNumber: row.change_number }),
  };
}

function documentOf(row: PermissionsTables['rules']): RulesDocument {
  const document = JSON.parse(row.document) as JsonValue;
  return { ...versionOf(row), document, rules: siteRulesSchema.parse(document) };
}
