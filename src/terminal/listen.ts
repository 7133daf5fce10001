import type { Logger } from 'pino';
import { commandAt } from '#core/sync/command.ts';
import type { Clock } from '#ports/clock.ts';
import type { ControlChannel } from '#ports/control-channel.ts';
import type { CommandExecution } from './commands.ts';

/** Lets operators on the device command a terminal. One that nobody can command opens its doors all the same. */
export async function listen(parts: {
  readonly channel: ControlChannel;
  readonly commands: CommandExecution;
  readonly terminalId: string;
  readonly clock: Clock;
  readonly log: Logger;
}): Promise<void> {
  const { channel, commands, terminalId, clock, log } = parts;
  try {
    await channel.start((given) => commands.execute(commandAt(terminalId, clock.utcMs(), given), 'local'));
  } catch (error) {
    log.error({ err: error }, 'operators cannot give commands here');
  }
}
