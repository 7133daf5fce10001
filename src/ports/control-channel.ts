import type { CommandResult, LocalCommand } from '#core/sync/command.ts';

/** Where somebody on the device itself gives commands; who may is the matter of the channel. */
export interface ControlChannel {
  /** Begins to take commands, each of which `obey` answers. Rejects with a Fault where nobody can be listened to. */
  start(obey: (command: LocalCommand) => Promise<CommandResult>): Promise<void>;
  /** Ends every connection; a command that is being obeyed is not called back. */
  stop(): Promise<void>;
}
