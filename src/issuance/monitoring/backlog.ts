import type { TerminalDevice } from '#core/sync/presence.ts';
import type { Organizations } from '../organizations/organizations.ts';
import type { Databases } from '../storage/databases.ts';

/** all terminals are looked through for it */
const rememberedMs = 30_000;

export interface BacklogParts {
  readonly organizations: Organizations;
  readonly databases: Databases;
  readonly nowMs: () => number;
}

/** Entries that are still at the terminals of each organization, as far as these have told how many they have. */
export class Backlog {
  readonly #parts: BacklogParts;
  #known: ReadonlyMap<string, number> = new Map();
  #knownAtMs = Number.NEGATIVE_INFINITY;

  constructor(parts: BacklogParts) {
    this.#parts = parts;
  }

  /** By organization. Rejects with database faults. */
  async read(): Promise<ReadonlyMap<string, number>> {
    const { organizations, nowMs } = this.#parts;
    if (nowMs() - this.#knownAtMs < rememberedMs) return this.#known;
    const known = new Map<string, number>();
    for (const organization of await organizations.list()) {
      known.set(organization.id, await this.#of(organization));
    }
    this.#known = known;
    this.#knownAtMs = nowMs();
    return known;
  }

  async #of(organization: { readonly id: string; readonly number: number }): Promise<number> {
    const { databases } = this.#parts;
    const states = await (await databases.permissions(organization))
      .selectFrom('terminal_states')
      .select(['terminal_id', 'state'])
      .execute();
    const stored = await (await databases.journal(organization))
      .selectFrom('journal_terminals')
      .innerJoin('chains', 'chains.chain', 'journal_terminals.latest_chain')
      .select(['chains.terminal', 'chains.sequence'])
      .execute();
    const heads = new Map(stored.map(({ terminal, sequence }) => [terminal, sequence]));
    return states.reduce((sum, { terminal_id, state }) => {
      const { journal } = JSON.parse(state) as TerminalDevice;
      return sum + Math.max(0, (journal.sequence ?? 0) - (heads.get(terminal_id) ?? 0));
    }, 0);
  }
}
