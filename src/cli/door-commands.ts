import { type Command, Option } from 'commander';
import { Fault } from '#core/fault.ts';
import { type CommandWay, durationSeconds, moment, onDevice, several } from './operator-command.ts';

/** `door unlock`: lets somebody in once. */
export function registerDoorUnlock(door: Command, way: CommandWay = onDevice): void {
  way
    .options(
      door
        .command('unlock')
        .description('Unlock a door of the running terminal once, as a grant does')
        .argument('<door>', 'Id of the door')
        .option(
          '--for <duration>',
          'For how long, such as "20 s"; without it the strike time',
          durationSeconds,
        )
        .option('--floor <floor>', 'Of an elevator: a floor to free; several times for several', several),
    )
    .action(async (id: string, options: { for?: number; floor?: string[] }, command: Command) => {
      const { for: seconds, floor: floors } = options;
      await way.operate(command, {
        kind: 'unlock-once',
        door: id,
        ...(seconds !== undefined && { seconds }),
        ...(floors && { floors }),
      });
    });
}

/** `door hold`: keeps a door unlocked for everybody. */
export function registerDoorHold(door: Command, way: CommandWay = onDevice): void {
  way
    .options(
      door
        .command('hold')
        .description('Hold a door of the running terminal unlocked for everybody')
        .argument('<door>', 'Id of the door')
        .option('--for <duration>', 'For how long, such as "2 h"; over after a reboot', durationSeconds)
        .addOption(
          new Option('--until <moment>', 'Until when, such as 2026-04-01T18:00+09:00; outlasts a reboot')
            .argParser(moment)
            .conflicts('for'),
        ),
    )
    .action(async (id: string, options: { for?: number; until?: number }, command: Command) => {
      const { for: seconds, until: untilMs } = options;
      if (seconds === undefined && untilMs === undefined)
        throw new Fault('argument-invalid', 'say how long: --for "2 h", or --until 2026-04-01T18:00+09:00');
      const end = seconds === undefined ? { untilMs } : { seconds };
      await way.operate(command, { kind: 'hold', door: id, ...end });
    });
}

/** `door resume`: ends what cards and commands hold. */
export function registerDoorResume(door: Command, way: CommandWay = onDevice): void {
  way
    .options(
      door
        .command('resume')
        .description('End what commands and cards hold unlocked: the door goes by its schedule again')
        .argument('<door>', 'Id of the door'),
    )
    .action(async (id: string, _: unknown, command: Command) => {
      await way.operate(command, { kind: 'resume', door: id });
    });
}
