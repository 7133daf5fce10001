import { Argument, type Command, InvalidArgumentError } from 'commander';
import { type CommandWay, onDevice, several } from './operator-command.ts';

interface ZoneOptions {
  readonly zone?: string[];
}

const zoneText = 'A zone, several times for several; without it the whole site';

/** `condition begin`: lockdown or evacuation. */
export function registerConditionBegin(condition: Command, way: CommandWay = onDevice): void {
  way
    .options(
      condition
        .command('begin')
        .description('Declare lockdown or evacuation at the running terminal, at once')
        .addArgument(new Argument('<condition>', 'Which').choices(['lockdown', 'evacuation']))
        .option('--zone <zone>', zoneText, several),
    )
    .action(async (kind: 'lockdown' | 'evacuation', { zone: zones }: ZoneOptions, command: Command) => {
      await way.operate(command, { kind, ...(zones && { zones }) });
    });
}

/** `condition end`: lockdown, evacuation or fire. */
export function registerConditionEnd(condition: Command, way: CommandWay = onDevice): void {
  way
    .options(
      condition
        .command('end')
        .description('End lockdown, evacuation or fire at the running terminal')
        .addArgument(new Argument('<condition>', 'Which').choices(['lockdown', 'evacuation', 'fire']))
        .option('--zone <zone>', zoneText, several),
    )
    .action(
      async (name: 'lockdown' | 'evacuation' | 'fire', { zone: zones }: ZoneOptions, command: Command) => {
        await way.operate(command, { kind: `end-${name}`, ...(zones && { zones }) });
      },
    );
}

/** `condition threat`: how much clearance doors demand. */
export function registerConditionThreat(condition: Command, way: CommandWay = onDevice): void {
  way
    .options(
      condition
        .command('threat')
        .description('Set the threat level of the running terminal')
        .argument('<level>', '0 (as usual) to 9', (text) => {
          if (!/^\d$/.test(text)) throw new InvalidArgumentError('a level is a number from 0 to 9');
          return Number(text);
        }),
    )
    .action(async (level: number, _: unknown, command: Command) => {
      await way.operate(command, { kind: 'threat-level', level });
    });
}
