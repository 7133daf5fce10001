import type { Entropy } from '#ports/entropy.ts';
import type { TakenMessage } from '#ports/intake.ts';
import { rulesAt } from '../permissions/rules-versions.ts';
import { Repeated } from '../repeated.ts';
import type { GatewayContext, TerminalFeature } from '../terminals/terminal-feature.ts';
import { GroupStore } from './group-store.ts';
import { OrganizationGroups } from './organization-groups.ts';

interface Opened {
  readonly groups: OrganizationGroups;
  readonly pushes: Repeated;
}

/** how often it is looked what another process has taken */
const lookEveryMs = 1_000;

/** Joins what the terminals of all organizations know that count together. */
export function groupFeature(context: GatewayContext, entropy: Entropy): TerminalFeature {
  const { organizations, clock, log, publish, trust } = context;
  const known = new Map<string, Promise<Opened | undefined>>();

  const open = async (id: string): Promise<Opened | undefined> => {
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
  };
  const of = (id: string): Promise<Opened | undefined> => {
    let found = known.get(id);
    if (!found) {
      found = open(id);
      known.set(id, found);
      const forget = () => known.delete(id);
      found.then((one) => one ?? forget(), forget);
    }
    return found;
  };
  const take = async (id: string, messages: readonly TakenMessage[]): Promise<void> => {
    const opened = await of(id);
    if (!opened) return;
    for (const { from, payload } of messages) await opened.groups.take(from.terminal, payload);
    opened.pushes.look();
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
      const opened = await Promise.allSettled(known.values());
      await Promise.all(opened.map((one) => one.status === 'fulfilled' && one.value?.pushes.stop()));
    },
  };
}
