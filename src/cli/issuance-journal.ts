import type { Command } from 'commander';
import { moment, several } from './operator-command.ts';
import { wholeNumber } from './whole-number.ts';

/** `issuance journal`: journals of terminals as the server has them, beside a server that may run. */
export function registerIssuanceJournal(issuance: Command): void {
  const journal = issuance
    .command('journal')
    .description('Journals of terminals: how far they are, entries, verify, export, let go');
  registerLooking(journal);
  registerLettingGo(journal);
}

function registerLooking(journal: Command): void {
  place(
    journal
      .command('state')
      .description('Show how far the journal of each terminal is stored, and what is wrong with journals'),
  ).action(async (_: unknown, command: Command) => {
    await (await import('./terminal-journals.ts')).showStates(command.optsWithGlobals());
  });
  place(
    journal
      .command('list')
      .description('List the newest entries of all terminals')
      .option('--terminal <name>', 'Only entries of this terminal')
      .option('--kind <kind>', 'Only entries of this kind')
      .option('--door <id>', 'Only entries of this door')
      .option('--tap <id>', 'Everything that one tap has caused')
      .option('--holder <id>', 'Only entries about this holder; it is recorded that you looked')
      .option('--from <moment>', 'From then on, such as 2026-04-01T08:30+09:00', moment)
      .option('--until <moment>', 'Before then', moment)
      .option('--limit <number>', 'Entries at most', wholeNumber, 50),
  ).action(async (_: unknown, command: Command) => {
    await (await import('./terminal-journals.ts')).listEntries(command.optsWithGlobals());
  });
  place(
    journal
      .command('verify')
      .description('Walk stored journals again, with the keys of the devices that were enrolled')
      .option('--terminal <name>', 'This terminal alone; may be repeated; all where absent', several),
  ).action(async (_: unknown, command: Command) => {
    await (await import('./terminal-journals.ts')).verifyJournals(command.optsWithGlobals());
  });
  place(
    journal
      .command('export')
      .description('Write the journal of a terminal as "journal verify --export" checks it again')
      .argument('<terminal>', 'Name of the terminal')
      .requiredOption('--out <file>', 'File to write; it must not exist yet')
      .option(
        '--with-personal',
        'With personal values that are not erased; it is recorded that you took them',
      ),
  ).action(async (terminal: string, _: unknown, command: Command) => {
    await (await import('./terminal-journals.ts')).exportJournal(terminal, command.optsWithGlobals());
  });
}

function registerLettingGo(journal: Command): void {
  place(
    journal
      .command('erase')
      .description('Erase what journals on the server say of one person, for good; terminals have their own')
      .option('--holder <id>', 'A holder, by the user numbers of its cards')
      .option('--user-number-file <file>', 'User numbers, one a line, such as of a holder who is gone'),
  ).action(async (_: unknown, command: Command) => {
    await (await import('./terminal-journals.ts')).erasePerson(command.optsWithGlobals());
  });
  place(
    journal
      .command('retention')
      .description('Show after how many days the server lets go of entries, or change that')
      .option('--entries <days>', 'Days entries are kept', wholeNumber)
      .option('--personal <days>', 'Days their personal values are kept', wholeNumber)
      .option('--unlimited', 'Keep both'),
  ).action(async (_: unknown, command: Command) => {
    await (await import('./terminal-journals.ts')).changeRetention(command.optsWithGlobals());
  });
}

function place(command: Command): Command {
  return command
    .requiredOption('--config <file>', 'Configuration of the server')
    .requiredOption('--organization <id>', 'Its organization');
}
