import type { Entropy } from '#ports/entropy.ts';
import type { TakenMessage } from '#ports/intake.ts';
import { Opened } from '../opened.ts';
import { rulesAt } from '../permissions/rules-versions.ts';
import { Repeated } from '../repeated.ts';
import type { GatewayContext, TerminalFeature } from '../terminals/terminal-feature.ts';
import { GroupStore } from './group-store.ts';
import { OrganizationGroups } from './organization-groups.ts';

interface OpenGroups {
  readonly groups: OrganizationGroups;
  readonly pushes: Repeated;
}

/** how often it is looked what another process has taken */
const lookEveryMs = 1_000;

/** Joins what the terminals of all organizations know that count together. */
export function groupFeature(context: GatewayContext, entropy: Entropy): TerminalFeature {
  const { organizations, clock, log, publish, trust } = context;

  const opened = new Opened(async (id: string): Promise<OpenGroups | undefined> => {
    const organization = await organizations.find(id);
    if (!organization) return undefined;
    const ledger = await organizations.ledger(organization);
    const groups = new OrganizationGroups({
      ...{ organization: id, store: new GroupStore({ ledger, entropy }), publish, clock, log },
      rules: async () => (await rulesAt(ledger.db, clock.utcMs()))?.rules,
      keys: async () => (await trust(id)).signing('policy'),
    });
    const pushes = new Repeated({
      clock,
      everyMs: lookEveryMs,
      action: () => groups.push(),
      failed: ({ code, message }) => log.error({ organization: id, fault: code }, `groups: ${message}`),
    });
    return { groups, pushes };
  });
  const take = async (id: string, messages: readonly TakenMessage[]): Promise<void> => {
    const one = await opened.of(id);
    if (!one) return;
    for (const { from, payload } of messages) await one.groups.take(from.terminal, payload);
    one.pushes.look();
  };
  return {
    takes: {
      group: async (messages) => {
        const taking = [...Map.groupBy(messages, ({ from }) => from.organization)].map(([id, own]) =>
          take(id, own),
        );
        for (const one of await Promise.allSettled(taking)) if (one.status === 'rejected') throw one.reason;
      },
    },
    stop: async () => {
      await Promise.all((await opened.all()).map(([, { pushes }]) => pushes.stop()));
    },
  };
}
