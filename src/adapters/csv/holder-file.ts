import { CsvError, type Info, parse } from 'csv-parse';
import { readHeader } from '#core/access/holder-columns.ts';
import { HolderRowReader } from '#core/access/holder-import.ts';
import type { HolderRow, ImportMode, ImportProblem } from '#core/access/holder-row.ts';
import type { SiteRules } from '#core/access/site-rules.ts';
import { type Encoding, textBlocks } from './text-blocks.ts';

interface CsvRecord {
  readonly record: readonly string[];
  readonly info: Info;
}

export interface HolderFileOptions {
  readonly file: string;
  readonly encoding: Encoding;
  readonly mode: ImportMode;
  readonly rules: SiteRules;
  /** told the bytes read so far */
  readonly progress?: (bytesRead: number) => void;
}

/**
 * Reads a list of holders (CSV, RFC 4180, the first line naming the columns) in small batches: each line as a row,
 * or as everything wrong with it. Throws Fault `file-unreadable`.
 */
export async function* readHolderFile(
  options: HolderFileOptions,
): AsyncIterable<readonly (HolderRow | ImportProblem)[]> {
  const parser = parse({
    info: true,
    // the columns are counted with the line, so that every such line is reported
    relax_column_count: true,
    // a stray quote then fails the checks of its cell instead of ending the file
    relax_quotes: true,
    skip_empty_lines: true,
    skip_records_with_empty_values: true,
    max_record_size: 65_536,
  });
  let failure: unknown;
  parser.on('error', (error) => {
    failure = error;
  });
  const lines = new LineReader(options);
  for await (const block of textBlocks(options.file, options.encoding)) {
    lines.leaveOut(block.faults.map((fault) => fault.line));
    if (block.faults.length > 0) yield block.faults;
    parser.write(block.text);
    yield lines.read(taken(parser));
    options.progress?.(block.bytesRead);
    if (failure) break;
  }
  if (!failure) {
    const ended = new Promise((resolve) => parser.once('close', resolve));
    parser.end();
    yield lines.read(taken(parser));
    parser.resume();
    await ended;
  }
  if (failure) yield [unparsable(failure)];
  yield lines.finish();
}

function* taken(parser: ReturnType<typeof parse>): Iterable<CsvRecord> {
  for (let record = parser.read(); record !== null; record = parser.read()) yield record as CsvRecord;
}

/** Turns records into rows: the first is the header, and none is read where the header is wrong. */
class LineReader {
  readonly #options: HolderFileOptions;
  readonly #leftOut = new Set<number>();
  #rows: HolderRowReader | undefined;
  #header: 'awaited' | 'read' | 'wrong' = 'awaited';

  constructor(options: HolderFileOptions) {
    this.#options = options;
  }

  /** Lines whose problem is told already. */
  leaveOut(lines: readonly number[]): void {
    for (const line of lines) this.#leftOut.add(line);
  }

  read(records: Iterable<CsvRecord>): readonly (HolderRow | ImportProblem)[] {
    const results: (HolderRow | ImportProblem)[] = [];
    for (const { record, info } of records) {
      if (this.#leftOut.has(info.lines)) {
        if (this.#header === 'awaited') this.#header = 'wrong';
      } else if (this.#header === 'awaited') results.push(...this.#readHeader(info.lines, record));
      else if (this.#rows) push(results, this.#rows.read(info.lines, record));
    }
    return results;
  }

  /** What is wrong with the file as a whole. */
  finish(): readonly ImportProblem[] {
    return this.#header === 'awaited'
      ? [{ line: 1, text: 'the file has no line that names the columns' }]
      : [];
  }

  #readHeader(line: number, cells: readonly string[]): readonly ImportProblem[] {
    const { mode, rules } = this.#options;
    const header = readHeader(line, cells, { mode, profiles: rules.profiles.length });
    if ('problems' in header) {
      this.#header = 'wrong';
      return header.problems;
    }
    this.#header = 'read';
    this.#rows = new HolderRowReader({ columns: header.columns, mode, rules });
    return [];
  }
}

function push(results: (HolderRow | ImportProblem)[], result: HolderRow | readonly ImportProblem[]): void {
  if ('holderId' in result) results.push(result);
  else results.push(...result);
}

/** The csv library's own message may repeat cells, so its code alone is told. */
function unparsable(error: unknown): ImportProblem {
  if (!(error instanceof CsvError)) throw error;
  const line = typeof error.lines === 'number' ? error.lines : 1;
  const text =
    error.code === 'CSV_QUOTE_NOT_CLOSED' || error.code === 'CSV_MAX_RECORD_SIZE'
      ? 'a quote is opened and never closed; what follows it was not checked'
      : `the line is no CSV (${error.code}); what follows it was not checked`;
  return { line, text };
}
