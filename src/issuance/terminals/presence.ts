import type { Logger } from 'pino';
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

  /** Takes messages of the kind `state`, in the order they came. Rejects with database faults. */
  async take(messages: readonly TakenMessage[]): Promise<void> {
    const { ledger: find, clock, log } = this.#parts;
    const atMs = clock.utcMs();
    for (const [organization, own] of Map.groupBy(messages, ({ from }) => from.organization)) {
      const ledger = await find(organization);
      if (!ledger) continue;
      await ledger.db.transaction().execute(async (db) => {
        for (const { from, payload } of own) {
          const state = readTerminalState(payload);
          if (state) await keep(db, from.terminal, state, atMs);
          else log.warn({ organization, terminal: from.terminal }, 'a state that is none');
        }
      });
    }
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
  const told = { state: JSON.stringify(state.device), heard_at_ms: atMs, offline_from_ms };
  await db
    .insertInto('terminal_states')
    .values({ terminal_id: terminal, ...told })
    .onConflict((at) => at.column('terminal_id').doUpdateSet(told))
    .execute();
}
