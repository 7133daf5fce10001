import { type Command, Option } from 'commander';
import { Fault } from '#core/fault.ts';
import { type CommandWay, durationSeconds, onDevice } from './operator-command.ts';

/** `terminal identify`: which reader is it. */
export function registerTerminalIdentify(terminal: Command, way: CommandWay = onDevice): void {
  way
    .options(
      terminal
        .command('identify')
        .description(
          'Blink and beep at a reader, or at those of a door, so that whoever stands there finds it',
        )
        .option('--reader <id>', 'Id of the reader')
        .addOption(new Option('--door <id>', 'Id of the door').conflicts('reader'))
        .option('--for <duration>', 'For how long, such as "1 min"', durationSeconds, 30),
    )
    .action(async (options: { reader?: string; door?: string; for: number }, command: Command) => {
      const { reader, door, for: seconds } = options;
      if (reader === undefined && door === undefined)
        throw new Fault('argument-invalid', 'say which: --reader ID or --door ID');
      const which = reader === undefined ? { door } : { reader };
      await way.operate(command, { kind: 'identify', seconds, ...which });
    });
}

/** `terminal diagnostics`: what support asks for. */
export function registerTerminalDiagnostics(terminal: Command, way: CommandWay = onDevice): void {
  way
    .options(
      terminal
        .command('diagnostics')
        .description(
          'Print the state of the running terminal for support, without personal data and secrets',
        ),
    )
    .action(async (_: unknown, command: Command) => {
      await way.operate(command, { kind: 'diagnostics' }, ({ diagnostics }) =>
        JSON.stringify(diagnostics, null, 2),
      );
    });
}

/** `terminal restart`. */
export function registerTerminalRestart(terminal: Command, way: CommandWay = onDevice): void {
  way
    .options(
      terminal
        .command('restart')
        .description(
          'End the running terminal in order; its service manager starts it again, the doors locked',
        ),
    )
    .action(async (_: unknown, command: Command) => {
      await way.operate(command, { kind: 'restart' });
    });
}
