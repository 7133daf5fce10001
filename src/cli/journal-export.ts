import type { Command } from 'commander';
import { JournalReader } from '#adapters/sqlite/journal-reader.ts';
import { toHex } from '#core/bytes/bytes.ts';
import { parseEntry } from '#core/journal/entry.ts';
import { exportEnd, exportHeader, exportItem } from '#core/journal/export.ts';
import type { JournalHead } from '#core/journal/record.ts';
import { counted } from './counted.ts';
import { writeEvidence } from './evidence-file.ts';
import { createOutput } from './output.ts';

const linesAtOnce = 500;

/** `journal export`: the whole journal as JSON lines that `journal verify --export` checks again. */
export function registerJournalExport(journal: Command): void {
  journal
    .command('export')
    .description('Write the whole journal as JSON lines: stored bytes, hashes, checkpoints and the head')
    .requiredOption('--database <file>', 'Journal database, in use or not')
    .requiredOption('--out <file>', 'File to write; it must not exist yet')
    .option(
      '--with-personal',
      'Include personal values that are not erased; without it the file names nobody',
    )
    .addHelpText(
      'after',
      '\n"journal verify --export FILE" checks the file; its head can be kept as an outside head.',
    )
    .action(async (_: unknown, command: Command) => {
      const { database, out, withPersonal, json } = command.optsWithGlobals<{
        database: string;
        out: string;
        withPersonal?: boolean;
        json?: boolean;
      }>();
      const { entries, head } = await exportJournal(database, out, withPersonal === true);
      const last = head ? `, head ${head.sequence}:${head.hash}` : '';
      createOutput(json === true).result(
        { file: out, entries, head: head ?? null },
        `${out}: ${counted(entries, 'entry', 'entries')}${last}`,
      );
    });
}

async function exportJournal(
  database: string,
  out: string,
  personal: boolean,
): Promise<{ entries: number; head: JournalHead | undefined }> {
  const reader = new JournalReader({ file: database });
  await reader.start();
  try {
    return await writeEvidence(out, (write) => writeItems(reader, personal, write));
  } finally {
    await reader.stop();
  }
}

async function writeItems(
  reader: JournalReader,
  personal: boolean,
  write: (text: string) => Promise<void>,
): Promise<{ entries: number; head: JournalHead | undefined }> {
  let lines = [exportHeader(personal)];
  let entries = 0;
  let last: { raw: Uint8Array; hash: Uint8Array } | undefined;
  for await (const item of reader.items()) {
    lines.push(exportItem(item, personal));
    if (item.kind === 'entry') {
      entries += 1;
      last = item;
    }
    if (lines.length >= linesAtOnce) {
      await write(`${lines.join('\n')}\n`);
      lines = [];
    }
  }
  const head = last && headOf(last);
  lines.push(exportEnd(entries, head));
  await write(`${lines.join('\n')}\n`);
  return { entries, head };
}

/** The head as the last entry tells it; an entry that cannot be read is told as it is by verification. */
function headOf(last: { raw: Uint8Array; hash: Uint8Array }): JournalHead | undefined {
  const entry = parseEntry(last.raw);
  if (!entry) return undefined;
  const { terminal, incarnation, sequence } = entry;
  return { terminal, incarnation, sequence, hash: toHex(last.hash) };
}
