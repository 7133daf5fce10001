import type { Command } from 'commander';
import { SystemClock } from '#adapters/os/clock.ts';
import { eraseFacts } from '#adapters/sqlite/facts-erasure.ts';
import {
  type ErasureResult,
  type ErasureSelection,
  erasePersonalValues,
} from '#adapters/sqlite/journal-erasure.ts';
import { PolicyReader } from '#adapters/sqlite/policy-reader.ts';
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
  readonly holder?: string;
  readonly former?: boolean;
  readonly policy?: string;
  readonly timeZone: string;
  readonly confirmErasure?: number;
  readonly json?: boolean;
}

const help = `
The values and their salts are overwritten; the chain stays whole and verifies as before. The erasure itself is
recorded in the journal. Entries are named by --before or --sequence. What access rules remember (where somebody is,
uses, admissions, loans) is erased by --holder, or by --former of everybody who has left, together with what the policy database named by --policy
still has of them in the version before: "policy rollback" then leaves them as they are now. Copies in exports and backups are not touched. The terminal must be stopped meanwhile.`;

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
    .option('--holder <id>', 'Instead of entries: what access rules remember of this holder')
    .option('--former', 'The same of all whom the policy no longer has')
    .option('--policy <file>', 'With --holder or --former: the policy database')
    .option('--time-zone <name>', 'Time zone of --before', 'Asia/Tokyo')
    .option(
      '--confirm-erasure <number>',
      'Erase without asking; the number that would be asked for',
      wholeNumber,
    )
    .addHelpText('after', help)
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<EraseOptions>();
      const output = createOutput(options.json === true);
      const result = await erase(options, (values) =>
        confirmNumber(
          {
            number: values,
            given: options.confirmErasure,
            question: `${values} values will be gone for good. Type this number to erase them: `,
          },
          output,
        ),
      );
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

async function erase(
  options: EraseOptions,
  confirm: (values: number) => Promise<boolean>,
): Promise<ErasureResult> {
  const { database: file, holder, former, policy, before, sequence } = options;
  if ([before, sequence, holder, former].filter((one) => one !== undefined).length !== 1) {
    throw new Fault('argument-invalid', 'name either --before, --sequence, --holder or --former');
  }
  const ofHolders = holder !== undefined || former === true;
  if (ofHolders !== (policy !== undefined)) {
    throw new Fault('argument-invalid', 'name --policy with --holder and --former, and only then');
  }
  const clock = new SystemClock();
  if (policy === undefined)
    return erasePersonalValues({ file, selection: selection(options), clock, confirm });
  const reader = new PolicyReader(policy);
  try {
    if (!reader.version()) throw new Fault('policy-absent', `no policy is installed in ${policy}`);
    const isErased = (holderId: string) =>
      holder === undefined ? !reader.hasHolder(holderId) : holderId === holder;
    return await eraseFacts({ file, policy, isErased, clock, confirm });
  } finally {
    reader.close();
  }
}

function selection({ before, sequence, incarnation, timeZone }: EraseOptions): ErasureSelection {
  if (sequence !== undefined) return { sequence, incarnation };
  if (!isTimeZone(timeZone)) throw new Fault('argument-invalid', `"${timeZone}" is no time zone`);
  const beforeMs = parseLimit(before ?? '', 'from', timeZone);
  if (beforeMs === undefined) throw new Fault('argument-invalid', `"${before}" is no date; write 2026-04-01`);
  return { beforeMs };
}
