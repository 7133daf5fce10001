import { isFault } from '#core/fault.ts';
import { readTerminalState } from '#core/sync/presence.ts';
import type { TakenMessage } from '#ports/intake.ts';
import { Opened } from '../opened.ts';
import type { GatewayContext, TerminalFeature } from '../terminals/terminal-feature.ts';
import { addDistributionRoutes } from './distribution-routes.ts';
import { OrganizationDistribution } from './organization-distribution.ts';

/** Distributes policies to the terminals of all organizations. */
export function distribution(context: GatewayContext): TerminalFeature {
  const { organizations, admission, peer, trust, metrics } = context;
  let state: 'away' | 'connected' | 'stopped' = 'away';

  const opened = new Opened(async (id: string): Promise<OrganizationDistribution | undefined> => {
    const organization = await organizations.find(id);
    if (!organization) return undefined;
    const ledger = await organizations.ledger(organization);
    return new OrganizationDistribution({ organization: id, ledger, trust: await trust(id), context });
  });
  const hear = async (messages: readonly TakenMessage[]): Promise<void> => {
    for (const { from, payload } of messages) {
      const state = readTerminalState(payload);
      if (state?.presence !== 'here') continue;
      try {
        (await opened.of(from.organization))?.heard(from.terminal, state);
      } catch (error) {
        // it says so again within a minute
        if (!isFault(error)) throw error;
        context.log.warn({ ...from, fault: error.code }, error.message);
      }
    }
  };
  const each = async (action: (one: OrganizationDistribution) => unknown): Promise<void> => {
    await Promise.all((await opened.all()).map(([, one]) => action(one)));
  };
  metrics.watch(
    'kazasu_publisher_delay_seconds',
    'For how long nothing that was changed or revoked may have been sent to terminals',
    async () => {
      const delays = new Map<string, number>();
      for (const [id, one] of await opened.all()) {
        const delay = one.delaySeconds();
        if (delay !== undefined) delays.set(id, delay);
      }
      return delays;
    },
  );
  return {
    takes: { state: hear },
    connected: () => {
      state = 'connected';
      void each((one) => one.connected());
    },
    changed: async (id) => {
      if (state === 'stopped') return;
      const one = await opened.of(id);
      if (state === 'connected') one?.look();
    },
    addRoutes: (app) =>
      addDistributionRoutes(app, {
        peer,
        admission,
        shelf: async (id) => (await opened.of(id))?.shelf,
        roots: async (id) => (await (await opened.of(id))?.trust.roots()) ?? new Map(),
      }),
    stop: () => {
      state = 'stopped';
      return each((one) => one.stop());
    },
  };
}
