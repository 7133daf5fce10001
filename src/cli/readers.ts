import type { Command } from 'commander';
import { createOutput } from './output.ts';
import { presentReaders } from './pcsc-session.ts';

export function registerReaders(program: Command): void {
  program
    .command('readers')
    .description('List the card readers of this machine by the exact names that a configuration must give')
    .action(async (_options: unknown, command: Command) => {
      const output = createOutput(command.optsWithGlobals<{ json?: boolean }>().json ?? false);
      const present = await presentReaders();
      // no configuration is asked here, so that a reader is there is all that can be said of it
      const readers = present.map(({ name, virtual }) => ({ name, state: 'present', virtual }));
      const lines = readers.map(
        ({ name, state, virtual }) => `${name}: ${state}${virtual ? ', virtual' : ''}`,
      );
      output.result({ readers }, lines.length > 0 ? lines.join('\n') : 'no reader is connected');
    });
}
