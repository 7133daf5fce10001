import { isFault } from '#core/fault.ts';
import { readTerminalState } from '#core/sync/presence.ts';
import type { TakenMessage } from '#ports/intake.ts';
import type { GatewayContext, TerminalFeature } from '../terminals/terminal-feature.ts';
import { addDistributionRoutes } from './distribution-routes.ts';
import { OrganizationDistribution } from './organization-distribution.ts';

/** Distributes policies to the terminals of all organizations. */
export function distribution(context: GatewayContext): TerminalFeature {
  const { organizations, admission, peer, trust, metrics } = context;
  const known = new Map<string, Promise<OrganizationDistribution | undefined>>();
  let state: 'away' | 'connected' | 'stopped' = 'away';

  const open = async (id: string): Promise<OrganizationDistribution | undefined> => {
    const organization = await organizations.find(id);
    if (!organization) return undefined;
    const ledger = await organizations.ledger(organization);
    return new OrganizationDistribution({ organization: id, ledger, trust: await trust(id), context });
  };
  const of = (id: string): Promise<OrganizationDistribution | undefined> => {
    let found = known.get(id);
    if (!found) {
      found = open(id);
      known.set(id, found);
      const forget = () => known.delete(id);
      found.then((one) => one ?? forget(), forget);
    }
    return found;
  };
  const hear = async (messages: readonly TakenMessage[]): Promise<void> => {
    for (const { from, payload } of messages) {
      const state = readTerminalState(payload);
      if (state?.presence !== 'here') continue;
      try {
        (await of(from.organization))?.heard(from.terminal, state);
      } catch (error) {
        // it says so again within a minute
        if (!isFault(error)) throw error;
        context.log.warn({ ...from, fault: error.code }, error.message);
      }
    }
  };
  const each = async (action: (one: OrganizationDistribution) => unknown): Promise<void> => {
    const opened = await Promise.allSettled(known.values());
    await Promise.all(opened.map((one) => one.status === 'fulfilled' && one.value && action(one.value)));
  };
  metrics.watch(
    'kazasu_publisher_delay_seconds',
    'For how long nothing that was changed or revoked may have been sent to terminals',
    async () => {
      const delays = new Map<string, number>();
      for (const [id, opening] of known) {
        const delay = (await opening.catch(() => undefined))?.delaySeconds();
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
      const one = await of(id);
      if (state === 'connected') one?.look();
    },
    addRoutes: (app) =>
      addDistributionRoutes(app, {
        peer,
        admission,
        shelf: async (id) => (await of(id))?.shelf,
        roots: async (id) => (await (await of(id))?.trust.roots()) ?? new Map(),
      }),
    stop: () => {
      state = 'stopped';
      return each((one) => one.stop());
    },
  };
}
