import type { Command } from 'commander';
import {
  registerConditionBegin,
  registerConditionEnd,
  registerConditionThreat,
} from './condition-commands.ts';
import { registerDoorHold, registerDoorResume, registerDoorUnlock } from './door-commands.ts';
import { withOrganization } from './issuance-holder.ts';
import { type CommandWay, durationSeconds, several } from './operator-command.ts';
import {
  registerHolderAttendance,
  registerHolderResetPosition,
  registerZoneReset,
  registerZoneRollCall,
} from './people-commands.ts';
import {
  registerTerminalDiagnostics,
  registerTerminalIdentify,
  registerTerminalRestart,
} from './terminal-commands.ts';
import { wholeNumber } from './whole-number.ts';

/** what there is to command, as on the device itself */
const groups: readonly (readonly [
  name: string,
  text: string,
  ...((parent: Command, way: CommandWay) => void)[],
])[] = [
  ['door', 'Unlock doors, hold them unlocked', registerDoorUnlock, registerDoorHold, registerDoorResume],
  [
    'condition',
    'Lockdown, evacuation, threat level',
    registerConditionBegin,
    registerConditionEnd,
    registerConditionThreat,
  ],
  ['zone', 'Who is in which zone', registerZoneRollCall, registerZoneReset],
  ['holder', 'What a terminal remembers of a holder', registerHolderResetPosition, registerHolderAttendance],
  [
    'terminal',
    'Find a terminal, look into it, restart it',
    registerTerminalIdentify,
    registerTerminalDiagnostics,
    registerTerminalRestart,
  ],
];

/** By the server, which signs it for each terminal and sends it until that has answered. */
const throughServer: CommandWay = {
  options: (command) =>
    withOrganization(command)
      .requiredOption('--reason <text>', 'Why; it is recorded with who, as the operating system names you')
      .option('--terminal <id>', 'A terminal; several times for several', several)
      .option('--site <id>', 'The terminals of a site; several times for several', several)
      .option('--all', 'Every terminal of the organization')
      .option('--valid <duration>', 'How long a terminal may take it', durationSeconds, 60)
      .option(
        '--wait <duration>',
        'How long to wait for answers; they are kept also later',
        durationSeconds,
        10,
      )
      .addHelpText('after', '\nExit codes: 0 done by all, 1 could not be given, 2 not done, or not yet.'),
  operate: async (command, action, text) => {
    const { giveThroughServer } = await import('./command-administration.ts');
    await giveThroughServer(action, command.optsWithGlobals(), text);
  },
};

/** `issuance command`: what terminals are told to do through the server. */
export function registerIssuanceCommand(issuance: Command): void {
  const command = issuance
    .command('command')
    .description('Tell terminals to do something through the server, and see what came of it');
  for (const [name, text, ...register] of groups) {
    const group = command.command(name).description(text);
    for (const one of register) one(group, throughServer);
  }
  withOrganization(
    command
      .command('list')
      .description('List what terminals were told to do, the last first')
      .option('--limit <n>', 'How many at most', wholeNumber, 20),
  ).action(async (_: unknown, own: Command) => {
    await (await import('./command-administration.ts')).listOrders(own.optsWithGlobals());
  });
  withOrganization(
    command
      .command('show')
      .description('Show what came of it at each terminal')
      .argument('<order>', 'Its id, as it was printed or as list shows it'),
  ).action(async (id: string, _: unknown, own: Command) => {
    await (await import('./command-administration.ts')).showOrder(id, own.optsWithGlobals());
  });
}
