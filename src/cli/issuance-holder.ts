import { type Command, Option } from 'commander';
import { encodings } from '#adapters/csv/text-blocks.ts';
import { languages } from '#core/texts/language.ts';
import { moment } from './operator-command.ts';
import { wholeNumber } from './whole-number.ts';

/** `issuance holder`: holders of an organization, beside a server that may run. */
export function registerIssuanceHolder(issuance: Command): void {
  const holder = issuance
    .command('holder')
    .description(
      'Suspend a holder or one card at once, lift that again; show holders, import and export lists',
    );
  registerSuspending(holder);
  registerLists(holder);
  withOrganization(
    holder
      .command('show')
      .description('Show a holder as recorded, or as planned for a moment to come')
      .argument('<holder>', 'Id of the holder')
      .option('--at <moment>', 'As planned for then, such as 2026-04-01T08:30+09:00', moment),
  ).action(async (id: string, _: unknown, command: Command) => {
    await (await import('./holder-administration.ts')).showHolder(id, command.optsWithGlobals());
  });
}

function registerSuspending(holder: Command): void {
  const suspend = holder
    .command('suspend')
    .description('Suspend a holder, or with --card one card, at once and until it is lifted')
    .argument('<holder>', 'Id of the holder')
    .option('--reason <text>', 'Why; it is recorded with who, as the operating system names you', '');
  withOrganization(oneCard(suspend)).action(async (id: string, _: unknown, command: Command) => {
    await (await import('./holder-administration.ts')).suspendHolder(id, command.optsWithGlobals());
  });
  const resume = holder
    .command('resume')
    .description('Lift the suspension of a holder, or with --card of one card')
    .argument('<holder>', 'Id of the holder');
  withOrganization(oneCard(resume)).action(async (id: string, _: unknown, command: Command) => {
    await (await import('./holder-administration.ts')).resumeHolder(id, command.optsWithGlobals());
  });
}

function registerLists(holder: Command): void {
  withOrganization(
    holder
      .command('import')
      .description('Import a list of holders, looked at whole before anything is applied')
      .argument(
        '<file>',
        'List (.csv with the columns of policy import, or .ndjson with a JSON object a line)',
      )
      .addOption(
        new Option('--mode <mode>', 'Complete: the list is everybody; delta: it adds and changes')
          .choices(['complete', 'delta'])
          .makeOptionMandatory(),
      )
      .addOption(
        new Option(
          '--encoding <name>',
          'Encoding of a CSV list; windows-31j is what office software calls Shift_JIS',
        )
          .choices(['auto', ...encodings])
          .default('auto'),
      )
      .option('--good-lines', 'Of a delta: take the good lines though others are wrong')
      .option('--in-force-from <moment>', 'When it comes into force, such as 2026-04-01T00:00+09:00', moment)
      .option('--dry-run', 'Check everything and show what would change, without applying it')
      .option(
        '--confirm-removal <number>',
        'Apply although so many holders lose access; the number shown',
        wholeNumber,
      ),
  ).action(async (file: string, _: unknown, command: Command) => {
    await (await import('./holder-list-import.ts')).importHolderList(file, command.optsWithGlobals());
  });
  withOrganization(
    holder
      .command('export')
      .description('Write all holders with cards as a list (CSV) that can be imported again')
      .option('--out <file>', 'File for its owner alone; standard output where absent'),
  ).action(async (_: unknown, command: Command) => {
    await (await import('./holder-administration.ts')).exportHolders(command.optsWithGlobals());
  });
}

function oneCard(command: Command): Command {
  return command
    .option('--card <number>', 'One card alone, by its user number; the others go on working')
    .option('--profile <id>', 'Its card profile, where the holder has the number in several')
    .option('--diversifier <hex>', 'The one physical card, where the holder has several of the number');
}

/** What every command on the data of one organization takes. */
export function withOrganization(command: Command): Command {
  return command
    .requiredOption('--config <file>', 'Configuration of the server')
    .requiredOption('--organization <id>', 'Its organization')
    .addOption(
      new Option('--language <language>', 'Language of the answer').choices([...languages]).default('ja'),
    );
}
