import { type Command, type CommandAction, type CommandResult, commandSchema } from '#core/sync/command.ts';
import type { Bench } from './terminal-fixture.ts';

/** over all benches of a file: a terminal that is started again gets none that another one had */
let given = 0;

/** Gives commands to the terminal of a bench, each with an id of its own. */
export class CommandBench {
  readonly bench: Bench;

  constructor(bench: Bench) {
    this.bench = bench;
  }

  /** A command for this terminal, good for a minute from now on; `changes` spoils it. */
  command(action: CommandAction, changes: Partial<Command> = {}): Command {
    given += 1;
    const nowMs = this.bench.clock.utcMs();
    return commandSchema.parse({
      format: 1,
      id: given.toString(16).padStart(32, 'c'),
      terminal: 'test',
      issuedBy: 'desk 3',
      reason: 'visitor with an escort',
      issuedAtMs: nowMs,
      expiresAtMs: nowMs + 60_000,
      action,
      ...changes,
    });
  }

  /** Gives `command` as the server would, and lets everything that needs no time happen. */
  async give(command: Command, via: 'local' | 'issuance' = 'issuance'): Promise<CommandResult> {
    const result = this.bench.terminal.commands.execute(command, via);
    await this.bench.settle();
    return result;
  }

  async tell(action: CommandAction, changes: Partial<Command> = {}): Promise<CommandResult> {
    return this.give(this.command(action, changes));
  }

  /** The command entries so far, without what all of them have. */
  entries(): { readonly [name: string]: unknown }[] {
    return this.bench.journal.records
      .filter(({ kind }) => kind === 'command')
      .map(({ body: { id: _, via: __, issuedAtMs: ___, expiresAtMs: ____, ...told } }) => told);
  }
}
