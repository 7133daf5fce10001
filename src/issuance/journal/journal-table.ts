import type { EntryCursor, EntryFilter, JournalEntries, ShownEntry } from './journal-entries.ts';

const columns = [
  'terminal',
  'incarnation',
  'sequence',
  'at',
  'received',
  'clock',
  'kind',
  'tapId',
  'door',
  'body',
] as const;
const pageSize = 500;

/** Entries as a table (RFC 4180, UTF-8 with a mark for spreadsheets), newest first, page by page. */
export async function* journalTable(
  entries: Pick<JournalEntries, 'page'>,
  filter: EntryFilter,
  personal: boolean,
): AsyncIterable<string> {
  yield `\ufeff${lineOf([...columns, ...(personal ? ['userNumber'] : [])])}`;
  let before: EntryCursor | undefined;
  do {
    const page = await entries.page(filter, { limit: pageSize, ...(before && { before }) });
    yield page.entries.map((one) => lineOf(cellsOf(one, personal))).join('');
    before = page.next;
  } while (before);
}

function cellsOf(one: ShownEntry, personal: boolean): readonly string[] {
  const { entry } = one;
  const door = entry?.body.door;
  const cells = [
    one.terminal,
    one.incarnation,
    String(one.sequence),
    new Date(one.atMs).toISOString(),
    new Date(one.receivedAtMs).toISOString(),
    entry?.clock ?? '',
    one.kind,
    entry?.tapId ?? '',
    typeof door === 'string' ? door : '',
    entry ? JSON.stringify(entry.body) : '',
  ];
  return personal ? [...cells, one.personal.userNumber ?? ''] : cells;
}

function lineOf(cells: readonly string[]): string {
  return `${cells.map(cellOf).join(',')}\r\n`;
}

/** A cell that a spreadsheet would take for a formula gets a mark before it. */
function cellOf(text: string): string {
  const plain = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}
