import { setPriority } from 'node:os';
import { SingleBar } from 'cli-progress';
import { type Command, Option } from 'commander';
import { readHolderFile } from '#adapters/csv/holder-file.ts';
import { detectEncoding, type Encoding, encodings } from '#adapters/csv/text-blocks.ts';
import { PolicyInstaller } from '#adapters/sqlite/policy-installer.ts';
import { columnNames, holderColumns } from '#core/access/holder-columns.ts';
import type { ImportMode } from '#core/access/holder-row.ts';
import { siteRulesSchema } from '#core/access/site-rules.ts';
import { parseYaml } from '#core/config/yaml-document.ts';
import { Fault } from '#core/fault.ts';
import type { ImportOutcome, ImportPreview } from '#ports/policy-install.ts';
import { readTextFile } from '#terminal/text-file.ts';
import { confirmNumber } from './confirmation.ts';
import { counted } from './counted.ts';
import { fileSize } from './file-size.ts';
import { createOutput, type Output } from './output.ts';
import { withHolidays } from './rules-holidays.ts';
import { wholeNumber } from './whole-number.ts';

interface ImportOptions {
  readonly database: string;
  readonly mode?: ImportMode;
  readonly encoding: Encoding | 'auto';
  readonly dryRun?: boolean;
  readonly confirmRemoval?: number;
  readonly json?: boolean;
}

const help = `
The rules (YAML) come first: organization, time zone, card profiles, schedules, groups, doors and permissions.
The list of holders (CSV) names its columns in the first line, in any order; user_number alone is always needed:
${holderColumns.map((column) => `  ${columnNames(column).join(' / ')}`).join('\n')}
Several groups stand in one cell with ";" or a space between them. A date alone as valid_until is valid to the end of
that day. Status is active (有効), suspended (停止) or ended (終了). A line without a diversifier stands for any card
with the user number. Nothing is applied when any line is wrong; every wrong line is reported.
In a complete list an empty cell means active, no limit or none. In a delta it leaves what is there; "none" clears.`;

/** `policy import FILE`: rules from YAML or holders from CSV into a policy database. */
export function registerPolicyImport(policy: Command): void {
  policy
    .command('import')
    .description('Import the rules of a site (YAML) or its holders (CSV) into a policy database')
    .argument('<file>', 'Rules (.yaml, .yml) or list of holders (.csv)')
    .requiredOption('--database <file>', 'Policy database; it is made where there is none')
    .addOption(
      new Option('--mode <mode>', 'Complete: the list is everybody; delta: it adds and changes').choices([
        'complete',
        'delta',
      ]),
    )
    .addOption(
      new Option(
        '--encoding <name>',
        'Encoding of the list; windows-31j is what office software calls Shift_JIS',
      )
        .choices(['auto', ...encodings])
        .default('auto'),
    )
    .option('--dry-run', 'Check everything and show what would change, without applying it')
    .option(
      '--confirm-removal <number>',
      'Apply although so many holders lose access; the number shown',
      wholeNumber,
    )
    .addHelpText('after', help)
    .action(async (file: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<ImportOptions>();
      const output = createOutput(options.json === true);
      if (/\.ya?ml$/i.test(file)) await importRules(file, options, output);
      else if (/\.csv$/i.test(file)) await importHolders(file, options, output);
      else
        throw new Fault('argument-invalid', `${file}: rules end in .yaml or .yml, lists of holders in .csv`);
    });
}

async function importRules(file: string, options: ImportOptions, output: Output): Promise<void> {
  if (options.mode || options.dryRun || options.confirmRemoval !== undefined) {
    throw new Fault('argument-invalid', '--mode, --dry-run and --confirm-removal belong to lists of holders');
  }
  const written = parseYaml(await readTextFile(file), file, siteRulesSchema, 'policy-import-refused');
  const { rules, remarks } = withHolidays(written, Date.now());
  const version = await withInstaller(options.database, (installer) =>
    installer.installRules(rules, Date.now()),
  );
  const { doors, groups, permissions } = rules;
  output.result(
    { version, remarks },
    [
      `rules installed as policy version ${version.number}: ${counted(doors.length, 'door')}, ${counted(groups.length, 'group')}, ${counted(permissions.length, 'permission')}`,
      ...remarks,
    ].join('\n'),
  );
}

async function importHolders(file: string, options: ImportOptions, output: Output): Promise<void> {
  const { mode, confirmRemoval } = options;
  if (!mode) {
    throw new Fault(
      'argument-invalid',
      'say what the list is: --mode complete (everybody) or --mode delta (changes)',
    );
  }
  // taps on the same machine come first
  setPriority(10);
  const size = await fileSize(file);
  const encoding = options.encoding === 'auto' ? await detectEncoding(file) : options.encoding;
  const bar = progressBar(output);
  const outcome = await withInstaller(options.database, async (installer) => {
    const rules = await installer.rules();
    if (!rules) throw new Fault('policy-absent', 'no rules are installed yet; import the rules (YAML) first');
    bar?.start(size, 0);
    const progress = (bytesRead: number) => bar?.update(bytesRead);
    return installer.importHolders({
      mode,
      dryRun: options.dryRun === true,
      nowMs: Date.now(),
      rows: readHolderFile({ file, encoding, mode, rules, progress }),
      confirm: async (preview) => {
        bar?.stop();
        const { losingAccess } = preview;
        const question = `${previewText(preview)}\n${losingAccess} holders lose access. Type this number to apply, anything else to leave all as it is: `;
        return confirmNumber({ number: losingAccess, given: confirmRemoval, question }, output);
      },
    });
  }).finally(() => bar?.stop());
  report(file, outcome, output);
}

async function withInstaller<T>(
  file: string,
  action: (installer: PolicyInstaller) => Promise<T>,
): Promise<T> {
  const installer = new PolicyInstaller({ file });
  await installer.start();
  try {
    return await action(installer);
  } finally {
    await installer.stop();
  }
}

function report(file: string, outcome: ImportOutcome, output: Output): void {
  if (outcome.kind === 'refused') {
    process.exitCode = 1;
    const { problems, problemCount } = outcome;
    const lines = problems.map((problem) => `${file}:${problem.line}: ${problem.text}`);
    if (problemCount > problems.length) lines.push(`… and ${problemCount - problems.length} more`);
    const message = `${counted(problemCount, 'problem')}, nothing was applied`;
    output.note(`${lines.join('\n')}\nkazasu: policy-import-refused: ${message}`);
    output.result({ error: { fault: 'policy-import-refused', message, problemCount, problems } }, '');
    return;
  }
  const { preview } = outcome;
  if (outcome.kind === 'installed') {
    output.result(outcome, `${previewText(preview)}\ninstalled as policy version ${outcome.version.number}`);
  } else if (outcome.confirmed) {
    const confirm = preview.needsConfirmation
      ? `\napplying it needs --confirm-removal ${preview.losingAccess}`
      : '';
    output.result(outcome, `${previewText(preview)}\nnothing was applied (dry run)${confirm}`);
  } else {
    process.exitCode = 1;
    const message = `${counted(preview.losingAccess, 'holder')} would lose access, nothing was applied; if that is meant, repeat with --confirm-removal ${preview.losingAccess}`;
    output.note(`${previewText(preview)}\nkazasu: policy-import-refused: ${message}`);
    output.result({ error: { fault: 'policy-import-refused', message, preview } }, '');
  }
}

function previewText(preview: ImportPreview): string {
  return [
    `holders: ${preview.holdersBefore} before, ${preview.holdersAfter} after (${preview.added} added, ${preview.changed} changed, ${preview.removed} removed)`,
    `cards: ${preview.cardsAdded} added, ${preview.cardsChanged} changed, ${preview.cardsRemoved} removed`,
    `losing access: ${preview.losingAccess}`,
  ].join('\n');
}

function progressBar(output: Output): SingleBar | undefined {
  if (output.json || !process.stderr.isTTY) return undefined;
  return new SingleBar({
    stream: process.stderr,
    format: 'reading {bar} {percentage} % | {duration_formatted}',
    // nothing of the terminal is changed that Ctrl-C would leave behind
    hideCursor: false,
    linewrap: true,
    clearOnComplete: true,
  });
}
