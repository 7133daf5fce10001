import type { Logger } from 'pino';
import { compare } from '#core/sync/bucket.ts';
import { offlineFromMs, readTerminalState, type TerminalState } from '#core/sync/presence.ts';
import type { Clock } from '#ports/clock.ts';
import type { TakenMessage } from '#ports/intake.ts';
import type { Ledger } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';

export interface PresenceParts {
  /** undefined where there is no such organization */
  readonly ledger: (organization: string) => Promise<Ledger<PermissionsTables> | undefined>;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'warn'>;
}

/** Keeps the last that each terminal has said of itself. */
export class Presence {
  readonly #parts: PresenceParts;

  constructor(parts: PresenceParts) {
    this.#parts = parts;
  }

  /** Takes messages of the kind `state`, in the order they came. Rejects with the first fault after all are done. */
  async take(messages: readonly TakenMessage[]): Promise<void> {
    const byOrganization = Map.groupBy(messages, ({ from }) => from.organization);
    const kept = await Promise.allSettled([...byOrganization].map(([id, own]) => this.#takeOf(id, own)));
    for (const one of kept) if (one.status === 'rejected') throw one.reason;
  }

  async #takeOf(organization: string, messages: readonly TakenMessage[]): Promise<void> {
    const { ledger: find, clock, log } = this.#parts;
    const ledger = await find(organization);
    if (!ledger) return;
    const atMs = clock.utcMs();
    // each server in one order: none waits for a row of another that waits for its own
    const ordered = messages.toSorted((a, b) => compare(a.from.terminal, b.from.terminal));
    await ledger.db.transaction().execute(async (db) => {
      for (const { from, payload } of ordered) {
        const state = readTerminalState(payload);
        if (state) await keep(db, from.terminal, state, atMs);
        else log.warn({ organization, terminal: from.terminal }, 'a state that is none');
      }
    });
  }
}

async function keep(
  db: Ledger<PermissionsTables>['db'],
  terminal: string,
  state: TerminalState,
  atMs: number,
): Promise<void> {
  const offline_from_ms = offlineFromMs(state, atMs);
  if (state.presence === 'gone') {
    // what it said of itself last stays
    await db
      .updateTable('terminal_states')
      .set({ offline_from_ms })
      .where('terminal_id', '=', terminal)
      .where('offline_from_ms', '>', offline_from_ms)
      .execute();
    return;
  }
  const { device, policy } = state;
  const told = {
    state: JSON.stringify(device),
    policy: policy ? JSON.stringify(policy) : null,
    heard_at_ms: atMs,
    offline_from_ms,
  };
  await db
    .insertInto('terminal_states')
    .values({ terminal_id: terminal, ...told })
    .onConflict((at) => at.column('terminal_id').doUpdateSet(told))
    .execute();
}
