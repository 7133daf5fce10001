import type { Actor, Ledger } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';

/** A building that facilities administrators look after: which groups and terminals belong to it. */
export interface Site {
  readonly id: string;
  readonly name: string;
  readonly groups: readonly string[];
  readonly terminals: readonly string[];
  readonly revision: number;
}

/** The sites of one organization. */
export class Sites {
  readonly #ledger: Ledger<PermissionsTables>;

  constructor(parts: { readonly ledger: Ledger<PermissionsTables> }) {
    this.#ledger = parts.ledger;
  }

  async list(): Promise<readonly Site[]> {
    const rows = await this.#ledger.db.selectFrom('sites').selectAll().orderBy('site_id').execute();
    return rows.map(siteOf);
  }

  /** Makes or changes a site; `revision` of the one that was read, 0 for none. Undefined where it is another by now. */
  async put(
    id: string,
    site: Omit<Site, 'id' | 'revision'>,
    revision: number,
    actor: Actor,
  ): Promise<Site | undefined> {
    return this.#ledger.change(actor, async ({ db, changeNumber, audit, abandon }) => {
      const before = await db
        .selectFrom('sites')
        .select('revision')
        .where('site_id', '=', id)
        .executeTakeFirst();
      if ((before?.revision ?? 0) !== revision) return abandon(undefined);
      const row = {
        name: site.name,
        groups: JSON.stringify(site.groups),
        terminals: JSON.stringify(site.terminals),
        revision: changeNumber,
      };
      await db
        .insertInto('sites')
        .values({ site_id: id, ...row })
        .onConflict((at) => at.column('site_id').doUpdateSet(row))
        .execute();
      const { name, groups, terminals } = site;
      await audit({ action: 'site-changed', body: { site: id, name, groups, terminals } });
      return siteOf({ site_id: id, ...row });
    });
  }
}

function siteOf(row: PermissionsTables['sites']): Site {
  return {
    id: row.site_id,
    name: row.name,
    groups: JSON.parse(row.groups) as string[],
    terminals: JSON.parse(row.terminals) as string[],
    revision: row.revision,
  };
}
