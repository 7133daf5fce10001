import type { Command } from 'commander';
import { type HolderInspection, inspectUser } from '#adapters/sqlite/policy-inspection.ts';
import type { HolderCard } from '#core/access/policy.ts';
import { Fault } from '#core/fault.ts';
import { localTime } from './local-time.ts';
import { createOutput } from './output.ts';

/** `policy show --user NUMBER`: what the policy says of a holder. */
export function registerPolicyShow(policy: Command): void {
  policy
    .command('show')
    .description('Show a holder: state, cards, groups, and the doors and schedules they open')
    .requiredOption('--user <number>', 'User number (利用者番号)')
    .requiredOption('--database <file>', 'Policy database')
    .option('--profile <id>', 'Only cards of this profile')
    .action(async (_: unknown, command: Command) => {
      const { user, database, profile, json } = command.optsWithGlobals<{
        user: string;
        database: string;
        profile?: string;
        json?: boolean;
      }>();
      const { version, holders } = inspectUser(database, { userNumber: user, profileId: profile });
      if (holders.length === 0) {
        throw new Fault(
          'argument-invalid',
          `policy version ${version.number} has no card with this user number`,
        );
      }
      const texts = holders.map((holder) => holderText(holder, version.timeZone));
      createOutput(json === true).result(
        { version, holders },
        [
          `policy version ${version.number} of ${localTime(version.installedAtMs, version.timeZone)}`,
          ...texts,
        ].join('\n'),
      );
    });
}

function holderText({ holder, cards, groups, permissions }: HolderInspection, timeZone: string): string {
  const { validFromMs, validUntilMs } = holder;
  const from = validFromMs === undefined ? 'no beginning' : `from ${localTime(validFromMs, timeZone)}`;
  const until = validUntilMs === undefined ? 'no end' : `until ${localTime(validUntilMs, timeZone)}`;
  return [
    `holder ${holder.holderId}: ${holder.status}, ${from}, ${until} (${timeZone})`,
    ...cards.map(cardText),
    `  groups: ${groups.length === 0 ? 'none' : groups.join(', ')}`,
    ...(permissions.length === 0 ? ['  opens no door'] : []),
    ...permissions.map(
      ({ group, door, zone, schedule }) =>
        `  ${door === undefined ? `every door into ${zone}` : `door ${door}`}: ${schedule === undefined ? 'at any time' : `in ${schedule}`} (group ${group})`,
    ),
  ].join('\n');
}

function cardText({ profileId, userNumber, status, keyVersion, diversifier }: HolderCard): string {
  const which = diversifier === undefined ? 'any card' : `card ${diversifier}`;
  const version = keyVersion === undefined ? '' : `, key version ${keyVersion}`;
  return `  ${which} of ${profileId} with user number ${userNumber}: ${status}${version}`;
}
