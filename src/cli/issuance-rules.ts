import type { Command } from 'commander';
import { withOrganization } from './issuance-holder.ts';
import { moment } from './operator-command.ts';
import { wholeNumber } from './whole-number.ts';

/** `issuance rules`: the rules of an organization, version by version. */
export function registerIssuanceRules(issuance: Command): void {
  const rules = issuance
    .command('rules')
    .description('Rules of an organization: put in force, plan, show, list');
  const put = rules
    .command('put')
    .description('Put rules (YAML) in force at once, as a new version')
    .argument('<file>', 'Rules as docs/rules.md describes them')
    .option('--check', 'Check them alone');
  const plan = rules
    .command('plan')
    .description('Plan rules (YAML) for a moment to come, as a new version')
    .argument('<file>', 'Rules as docs/rules.md describes them')
    .requiredOption('--from <moment>', 'When they come into force, such as 2026-04-01T00:00+09:00', moment);
  for (const command of [put, plan]) {
    command.option('--edited <version>', 'Version that was edited; the last where absent', wholeNumber);
    withOrganization(command).action(async (file: string, _: unknown, called: Command) => {
      await (await import('./rules-administration.ts')).putRules(file, called.optsWithGlobals());
    });
  }
  withOrganization(
    rules
      .command('show')
      .description('Print rules as they were written (YAML)')
      .argument('[version]', 'Their version; those in force where absent', wholeNumber),
  ).action(async (version: number | undefined, _: unknown, command: Command) => {
    await (await import('./rules-administration.ts')).showRules(version, command.optsWithGlobals());
  });
  withOrganization(rules.command('list').description('List the versions, the last first')).action(
    async (_: unknown, command: Command) => {
      await (await import('./rules-administration.ts')).listRules(command.optsWithGlobals());
    },
  );
  withOrganization(
    rules
      .command('cancel')
      .description('Cancel a version that is planned')
      .argument('<version>', 'The version', wholeNumber),
  ).action(async (version: number, _: unknown, command: Command) => {
    await (await import('./rules-administration.ts')).cancelRules(version, command.optsWithGlobals());
  });
}
