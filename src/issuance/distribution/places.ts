import type { TerminalPlaces } from '#core/sync/view.ts';
import type { Actor, Ledger } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';

/** Where each terminal of an organization is: which doors it has, where its readers lead, what they serve. */
export class Places {
  readonly #ledger: Ledger<PermissionsTables>;

  constructor(parts: { readonly ledger: Ledger<PermissionsTables> }) {
    this.#ledger = parts.ledger;
  }

  /** Keeps the places of a terminal; a terminal whose places are known takes part in the distribution. */
  async put(terminal: string, places: TerminalPlaces, actor: Actor): Promise<'put' | 'unchanged'> {
    const row = {
      doors: text(places.doors),
      zones: text(places.zones),
      services: text(places.services),
    };
    return this.#ledger.change<'put' | 'unchanged'>(actor, async ({ db, changeNumber, audit, abandon }) => {
      const known = await db
        .selectFrom('terminal_places')
        .selectAll()
        .where('terminal_id', '=', terminal)
        .executeTakeFirst();
      if (known?.doors === row.doors && known.zones === row.zones && known.services === row.services)
        return abandon('unchanged');
      await db
        .insertInto('terminal_places')
        .values({ terminal_id: terminal, ...row, change_number: changeNumber })
        .onConflict((at) => at.column('terminal_id').doUpdateSet({ ...row, change_number: changeNumber }))
        .execute();
      const { doors, zones, services } = places;
      await audit({
        action: 'terminal-places-put',
        body: { terminal, doors: [...doors], zones: [...zones], services: [...services] },
      });
      return 'put';
    });
  }
}

function text(list: readonly string[]): string {
  return JSON.stringify([...new Set(list)].sort());
}
