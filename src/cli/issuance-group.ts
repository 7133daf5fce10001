import type { Command } from 'commander';
import { withOrganization } from './issuance-holder.ts';

/** `issuance group`: who is in which group. */
export function registerIssuanceGroup(issuance: Command): void {
  const group = issuance
    .command('group')
    .description('Groups of an organization: list, show, put holders in and out');
  withOrganization(group.command('list').description('List the groups and how many holders each has')).action(
    async (_: unknown, command: Command) => {
      await (await import('./group-administration.ts')).listGroups(command.optsWithGlobals());
    },
  );
  withOrganization(
    group.command('show').description('List the holders of a group').argument('<group>', 'Id of the group'),
  ).action(async (id: string, _: unknown, command: Command) => {
    await (await import('./group-administration.ts')).showGroup(id, command.optsWithGlobals());
  });
  for (const [change, text] of [
    ['add', 'Put holders into a group, at once'],
    ['remove', 'Take holders out of a group, at once'],
  ] as const) {
    withOrganization(
      group
        .command(change)
        .description(text)
        .argument('<group>', 'Id of the group')
        .argument('<holders...>', 'Ids of the holders'),
    ).action(async (id: string, ids: readonly string[], _: unknown, command: Command) => {
      const administration = await import('./group-administration.ts');
      await administration.changeGroup(change, { group: id, ids }, command.optsWithGlobals());
    });
  }
}
