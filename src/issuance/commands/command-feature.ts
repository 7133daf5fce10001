import { readTerminalState } from '#core/sync/presence.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { TakenMessage } from '#ports/intake.ts';
import { Opened } from '../opened.ts';
import { Repeated } from '../repeated.ts';
import type { GatewayContext, TerminalFeature } from '../terminals/terminal-feature.ts';
import { CommandDispatch } from './command-dispatch.ts';

/** how often it is looked what is to be sent again */
const lookEveryMs = 1_000;

interface OrganizationCommands {
  readonly dispatch: CommandDispatch;
  readonly rounds: Repeated;
}

/** Sends the commands of all organizations until they are answered. */
export function commandFeature(context: GatewayContext, entropy: Entropy): TerminalFeature {
  const { organizations, clock, log, publish, trust } = context;
  let connected = false;

  const opened = new Opened(async (id: string): Promise<OrganizationCommands | undefined> => {
    const organization = await organizations.find(id);
    if (!organization) return undefined;
    const ledger = await organizations.ledger(organization);
    const keys = async () => (await trust(id)).signing('command');
    const dispatch = new CommandDispatch({
      ...{ organization: id, ledger, clock, entropy, publish, keys, log },
    });
    const rounds = new Repeated({
      clock,
      everyMs: lookEveryMs,
      action: () => dispatch.round(),
      failed: ({ code, message }) => log.error({ organization: id, fault: code }, `commands: ${message}`),
    });
    return { dispatch, rounds };
  });
  /** A fault of one organization keeps nothing of another from being kept. */
  const take = async (
    messages: readonly TakenMessage[],
    action: (one: OrganizationCommands, own: readonly TakenMessage[]) => Promise<void>,
  ): Promise<void> => {
    const taking = [...Map.groupBy(messages, ({ from }) => from.organization)].map(async ([id, own]) => {
      const one = await opened.of(id);
      if (!one) return;
      await action(one, own);
      if (connected) one.rounds.look();
    });
    for (const one of await Promise.allSettled(taking)) if (one.status === 'rejected') throw one.reason;
  };
  const each = async (action: (one: OrganizationCommands) => unknown): Promise<void> => {
    await Promise.all((await opened.all()).map(([, one]) => action(one)));
  };
  return {
    takes: {
      result: (messages) =>
        take(messages, ({ dispatch }, own) =>
          dispatch.take(own.map(({ from, payload }) => ({ terminal: from.terminal, payload }))),
        ),
      state: (messages) =>
        take(messages, async ({ dispatch }, own) => {
          for (const { from, payload } of own) {
            const state = readTerminalState(payload);
            if (state?.presence === 'here') await dispatch.heard(from.terminal, state.incarnation);
          }
        }),
    },
    changed: async (id) => {
      const one = await opened.of(id);
      one?.dispatch.changed();
      if (connected) one?.rounds.look();
    },
    connected: () => {
      connected = true;
      void each(({ dispatch, rounds }) => {
        dispatch.connected();
        rounds.look();
      });
    },
    stop: () => each(({ rounds }) => rounds.stop()),
  };
}
