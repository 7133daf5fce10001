import { access, link, open, rm } from 'node:fs/promises';
import type { Command } from 'commander';
import { JournalReader } from '#adapters/sqlite/journal-reader.ts';
import { toHex } from '#core/bytes/bytes.ts';
import { Fault } from '#core/fault.ts';
import { parseEntry } from '#core/journal/entry.ts';
import { exportEnd, exportHeader, exportItem } from '#core/journal/export.ts';
import type { JournalHead } from '#core/journal/record.ts';
import { counted } from './counted.ts';
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
  const unfinished = `${out}.unfinished`;
  try {
    await access(out).then(
      () => Promise.reject(refused(out, 'EEXIST')),
      () => undefined,
    );
    const handle = await open(unfinished, 'w', 0o600);
    try {
      const written = await writeItems(reader, personal, (text) => handle.appendFile(text));
      await handle.sync();
      await link(unfinished, out);
      return written;
    } finally {
      await handle.close();
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw code === undefined || error instanceof Fault ? error : refused(out, code, error);
  } finally {
    await rm(unfinished, { force: true });
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

/** An export is evidence: one that is there is never written over. */
function refused(out: string, code: string, cause?: unknown): Fault {
  const why =
    code === 'EEXIST'
      ? 'exists already; name another file'
      : `cannot be written${code === 'ENOENT' ? ': its folder does not exist' : ''} (${code})`;
  return new Fault('argument-invalid', `${out} ${why}`, { cause });
}
