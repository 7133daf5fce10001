import { type Command, Option } from 'commander';
import { JournalReader } from '#adapters/sqlite/journal-reader.ts';
import { isTimeZone } from '#core/access/time-zone.ts';
import { Fault } from '#core/fault.ts';
import { journalKinds } from '#core/journal/record.ts';
import type { JournalView } from '#ports/journal-read.ts';
import { localTime } from './local-time.ts';
import { createOutput } from './output.ts';
import { wholeNumber } from './whole-number.ts';

interface ListOptions {
  readonly database: string;
  readonly from?: number;
  readonly limit: number;
  readonly kind?: string;
  readonly door?: string;
  readonly timeZone: string;
  readonly json?: boolean;
}

/** `journal list`: entries for people. */
export function registerJournalList(journal: Command): void {
  journal
    .command('list')
    .description('List the newest entries, or those from a sequence number on')
    .requiredOption('--database <file>', 'Journal database, in use or not')
    .option('--from <sequence>', 'First sequence number, of the present incarnation', wholeNumber)
    .option('--limit <number>', 'Entries at most', wholeNumber, 50)
    .addOption(new Option('--kind <kind>', 'Only entries of this kind').choices([...journalKinds]))
    .option('--door <id>', 'Only entries of this door')
    .option('--time-zone <name>', 'Time zone of the times shown', 'Asia/Tokyo')
    .addHelpText('after', '\nA time marked "?" was taken while the clock was not known to be right.')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<ListOptions>();
      if (!isTimeZone(options.timeZone)) {
        throw new Fault(
          'argument-invalid',
          `"${options.timeZone}" is no time zone; write one such as Asia/Tokyo`,
        );
      }
      const views = await list(options);
      const text = views.map((view) => viewText(view, options.timeZone)).join('\n');
      createOutput(options.json === true).result(views, text);
    });
}

async function list({ database, from, limit, kind, door }: ListOptions): Promise<readonly JournalView[]> {
  const reader = new JournalReader({ file: database });
  await reader.start();
  try {
    return await reader.list({
      limit,
      ...(from === undefined ? {} : { fromSequence: from }),
      ...(kind === undefined ? {} : { kind }),
      ...(door === undefined ? {} : { doorId: door }),
    });
  } finally {
    await reader.stop();
  }
}

function viewText({ entry, personal }: JournalView, timeZone: string): string {
  const { sequence, atMs, clock, kind, body } = entry;
  const time = `${localTime(atMs, timeZone)}${clock === 'trusted' ? '' : '?'}`;
  const told = [...Object.entries(body), ...Object.entries(personal)].map(
    ([key, value]) => `${key}=${plain(value)}`,
  );
  return `${String(sequence).padStart(7)}  ${time}  ${kind.padEnd(9)}  ${told.join(' ')}`;
}

function plain(value: unknown): string {
  return typeof value === 'string' && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}
