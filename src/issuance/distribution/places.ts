import type { TerminalPlaces } from '#core/sync/view.ts';
import type { Clock } from '#ports/clock.ts';
import type { Actor, Ledger } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';

/** how often a terminal is believed that its places are others, in milliseconds: each costs all of them a plan */
const reportedEveryMs = 600_000;

/** Where each terminal of an organization is: which doors it has, where its readers lead, what they serve. */
export class Places {
  readonly #ledger: Ledger<PermissionsTables>;
  readonly #clock: Pick<Clock, 'utcMs'>;
  /** when a terminal last reported others, milliseconds UTC */
  readonly #reportedAtMs = new Map<string, number>();

  constructor(parts: { readonly ledger: Ledger<PermissionsTables>; readonly clock: Pick<Clock, 'utcMs'> }) {
    this.#ledger = parts.ledger;
    this.#clock = parts.clock;
  }

  /** Takes what a terminal says of its places; one that says others again and again is not always listened to. */
  async report(terminal: string, places: TerminalPlaces): Promise<void> {
    const known = await this.find(terminal);
    if (known && isSame(known, places)) return;
    const nowMs = this.#clock.utcMs();
    const sinceMs = nowMs - (this.#reportedAtMs.get(terminal) ?? Number.NEGATIVE_INFINITY);
    if (sinceMs >= 0 && sinceMs < reportedEveryMs) return;
    this.#reportedAtMs.set(terminal, nowMs);
    await this.put(terminal, places, { id: `terminal:${terminal}`, via: 'server' });
  }

  /** undefined where they are not known yet */
  async find(terminal: string): Promise<TerminalPlaces | undefined> {
    const row = await this.#ledger.db
      .selectFrom('terminal_places')
      .selectAll()
      .where('terminal_id', '=', terminal)
      .executeTakeFirst();
    return row && { doors: list(row.doors), zones: list(row.zones), services: list(row.services) };
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

function text(names: readonly string[]): string {
  return JSON.stringify([...new Set(names)].sort());
}

function list(json: string): readonly string[] {
  return JSON.parse(json) as string[];
}

function isSame(a: TerminalPlaces, b: TerminalPlaces): boolean {
  return (['doors', 'zones', 'services'] as const).every((kind) => text(a[kind]) === text(b[kind]));
}
