import type { Command } from 'commander';
import { JournalReader } from '#adapters/sqlite/journal-reader.ts';
import { Fault } from '#core/fault.ts';
import { createOutput } from './output.ts';

/** `journal head`: the last entry, to be kept away from the device. */
export function registerJournalHead(journal: Command): void {
  journal
    .command('head')
    .description('Print the head of the journal, to keep it away from the device')
    .requiredOption('--database <file>', 'Journal database, in use or not')
    .addHelpText(
      'after',
      '\nPrint it on paper or keep the output of --json elsewhere: "journal verify --head" then finds any entry up to\nit that was changed or cut off, whatever happened on the device.',
    )
    .action(async (_: unknown, command: Command) => {
      const { database, json } = command.optsWithGlobals<{ database: string; json?: boolean }>();
      const reader = new JournalReader({ file: database });
      await reader.start();
      try {
        const head = await reader.head();
        if (!head)
          throw new Fault('journal-broken', 'the journal is empty, or its last entry cannot be read');
        createOutput(json === true).result(
          head,
          `terminal ${head.terminal}, incarnation ${head.incarnation}\n${head.sequence}:${head.hash}`,
        );
      } finally {
        await reader.stop();
      }
    });
}
