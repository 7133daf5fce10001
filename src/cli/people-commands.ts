import { Argument, type Command } from 'commander';
import { isTimeZone } from '#core/access/time-zone.ts';
import { Fault } from '#core/fault.ts';
import type { RollCall } from '#core/sync/command.ts';
import type { Text } from '#core/texts/language.ts';
import { localTime } from './local-time.ts';
import { type CommandWay, moment, onDevice } from './operator-command.ts';

/** `zone roll-call`: who is where. */
export function registerZoneRollCall(zone: Command, way: CommandWay = onDevice): void {
  way
    .options(
      zone
        .command('roll-call')
        .description('List who is in which zone, as far as grants tell')
        .argument('[zone]', 'One zone; without it all')
        .option('--time-zone <name>', 'Time zone of the times shown', 'Asia/Tokyo'),
    )
    .action(async (id: string | undefined, { timeZone }: { timeZone: string }, command: Command) => {
      if (!isTimeZone(timeZone))
        throw new Fault('argument-invalid', `"${timeZone}" is no time zone; write one such as Asia/Tokyo`);
      const action = { kind: 'roll-call' as const, ...(id !== undefined && { zone: id }) };
      await way.operate(command, action, ({ rollCall = [], omitted }, language) =>
        rollCall.length === 0 && omitted === undefined
          ? nobody[language]
          : [
              rollText(rollCall, timeZone),
              ...(omitted === undefined ? [] : [incomplete(omitted)[language]]),
            ].join('\n'),
      );
    });
}

/** `zone reset`: forgets who is there. */
export function registerZoneReset(zone: Command, way: CommandWay = onDevice): void {
  way
    .options(
      zone
        .command('reset')
        .description('Forget who is in a zone, all at once: after an evacuation, or a door that was forced')
        .argument('<zone>', 'Id of the zone'),
    )
    .action(async (id: string, _: unknown, command: Command) => {
      await way.operate(command, { kind: 'reset-zone', zone: id });
    });
}

/** `holder reset-position`: forgets where one is. */
export function registerHolderResetPosition(holder: Command, way: CommandWay = onDevice): void {
  way
    .options(
      holder
        .command('reset-position')
        .description('Forget where a holder is: the next tap offends no anti-passback')
        .argument('<holder>', 'Id of the holder'),
    )
    .action(async (id: string, _: unknown, command: Command) => {
      await way.operate(command, { kind: 'reset-position', holder: id });
    });
}

/** `holder attendance`: sets right whether one came or went. */
export function registerHolderAttendance(holder: Command, way: CommandWay = onDevice): void {
  way
    .options(
      holder
        .command('attendance')
        .description(
          'Record that a holder came or went, as no tap has told rightly; the next tap goes on from there',
        )
        .argument('<holder>', 'Id of the holder')
        .argument('<service>', 'Id of the attendance service')
        .addArgument(new Argument('<is>', 'What the holder is from then on').choices(['in', 'out']))
        .option('--at <moment>', 'Since when, such as 2026-04-01T08:30+09:00; without it now', moment),
    )
    .action(
      async (id: string, service: string, is: 'in' | 'out', { at }: { at?: number }, command: Command) => {
        const atMs = at === undefined ? {} : { atMs: at };
        await way.operate(command, { kind: 'correct-attendance', holder: id, service, is, ...atMs });
      },
    );
}

const incomplete = (omitted: number): Text => ({
  ja: `全員ではない: ほかに${omitted}人`,
  en: `NOT EVERYBODY: ${omitted} more`,
});
const nobody: Text = { ja: '在室者の記録はない', en: 'Nobody is known to be inside' };

function rollText(roll: RollCall, timeZone: string): string {
  return roll
    .flatMap(({ zone, holders }) => [
      `${zone}: ${holders.length}`,
      ...holders.map(({ holder, sinceMs }) => `  ${holder}  ${localTime(sinceMs, timeZone)}`),
    ])
    .join('\n');
}
