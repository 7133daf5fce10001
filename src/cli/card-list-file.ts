import { CsvError } from 'csv-parse';
import { parse } from 'csv-parse/sync';
import { detectEncoding, textBlocks } from '#adapters/csv/text-blocks.ts';
import { CardListReader, type ListedCard } from '#core/card/card-list.ts';
import { Fault } from '#core/fault.ts';

interface CsvRecord {
  readonly record: readonly string[];
  readonly info: { readonly lines: number };
}

const problemsShown = 20;

/**
 * The cards of a list (CSV, UTF-8 or Windows-31J) that have keys of their own, and how many lines name none.
 *
 * @throws Fault `file-unreadable`, `argument-invalid` with everything wrong by line
 */
export async function readCardList(
  file: string,
  profiles: ReadonlySet<string>,
): Promise<{ readonly cards: readonly ListedCard[]; readonly without: number }> {
  let text = '';
  const problems: string[] = [];
  for await (const block of textBlocks(file, await detectEncoding(file))) {
    text += block.text;
    problems.push(...block.faults.map((fault) => `${file}:${fault.line}: ${fault.text}`));
  }
  const [header, ...lines] = parsed(file, text);
  const reader = new CardListReader(header?.record ?? [], profiles);
  problems.push(...reader.missing().map((column) => `${file}:1: no column ${column}`));
  const cards: ListedCard[] = [];
  let without = 0;
  if (problems.length === 0) {
    for (const { record, info } of lines) {
      const line = reader.read(record);
      if (line === 'no-card') without += 1;
      else if ('problem' in line) problems.push(`${file}:${info.lines}: ${line.problem}`);
      else cards.push(line);
    }
  }
  if (problems.length > 0) {
    const more = problems.length > problemsShown ? [`… and ${problems.length - problemsShown} more`] : [];
    throw new Fault('argument-invalid', [...problems.slice(0, problemsShown), ...more].join('\n'));
  }
  return { cards, without };
}

/** The csv library's own message may repeat cells, so its code alone is told. */
function parsed(file: string, text: string): readonly CsvRecord[] {
  try {
    return parse(text, {
      info: true,
      bom: true,
      relax_column_count: true,
      skip_empty_lines: true,
    }) as unknown as readonly CsvRecord[];
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    throw new Fault('argument-invalid', `${file} is no CSV (${error.code})`);
  }
}
