import type { Command } from 'commander';
import { SystemClock } from '#adapters/os/clock.ts';
import { type ErasureSelection, erasePersonalValues } from '#adapters/sqlite/journal-erasure.ts';
import { parseLimit } from '#core/access/holder-dates.ts';
import { isTimeZone } from '#core/access/time-zone.ts';
import { Fault } from '#core/fault.ts';
import { confirmNumber } from './confirmation.ts';
import { createOutput } from './output.ts';
import { wholeNumber } from './whole-number.ts';

interface EraseOptions {
  readonly database: string;
  readonly before?: string;
  readonly sequence?: number;
  readonly incarnation?: string;
  readonly timeZone: string;
  readonly confirmErasure?: number;
  readonly json?: boolean;
}

const help = `
The values and their salts are overwritten; the chain stays whole and verifies as before. The erasure itself is
recorded in the journal. Copies in exports and backups are not touched. The terminal must be stopped meanwhile.`;

/** `journal erase`: lawful erasure of personal values. */
export function registerJournalErase(journal: Command): void {
  journal
    .command('erase')
    .description('Erase personal values, irrevocably, without breaking the chain')
    .requiredOption('--database <file>', 'Journal database')
    .option(
      '--before <date>',
      'All entries before this date or time, such as 2026-04-01 or "2026-04-01 18:00"',
    )
    .option('--sequence <number>', 'One entry by its sequence number', wholeNumber)
    .option('--incarnation <id>', 'Incarnation of that entry; the present one by default')
    .option('--time-zone <name>', 'Time zone of --before', 'Asia/Tokyo')
    .option(
      '--confirm-erasure <number>',
      'Erase without asking; the number of values that would be asked',
      wholeNumber,
    )
    .addHelpText('after', help)
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<EraseOptions>();
      const output = createOutput(options.json === true);
      const result = await erasePersonalValues({
        file: options.database,
        selection: selection(options),
        clock: new SystemClock(),
        confirm: (values) =>
          confirmNumber(
            {
              number: values,
              given: options.confirmErasure,
              question: `${values} values will be gone for good. Type this number to erase them: `,
            },
            output,
          ),
      });
      if (!result.erased && result.values > 0) {
        throw new Fault(
          'argument-invalid',
          `${result.values} values would be erased, nothing was; if that is meant, repeat with --confirm-erasure ${result.values}`,
        );
      }
      const trace = result.logCleared
        ? ''
        : '; a reader is active, so repeat the command or restart the terminal';
      output.result(result, `${result.values} personal values erased${trace}`);
    });
}

function selection({ before, sequence, incarnation, timeZone }: EraseOptions): ErasureSelection {
  if ((before === undefined) === (sequence === undefined)) {
    throw new Fault('argument-invalid', 'name either --before or --sequence');
  }
  if (sequence !== undefined) return { sequence, incarnation };
  if (!isTimeZone(timeZone)) throw new Fault('argument-invalid', `"${timeZone}" is no time zone`);
  const beforeMs = parseLimit(before ?? '', 'from', timeZone);
  if (beforeMs === undefined) throw new Fault('argument-invalid', `"${before}" is no date; write 2026-04-01`);
  return { beforeMs };
}
