import { type HolderColumn, holderColumns } from '#core/access/holder-columns.ts';
import { HolderRowReader } from '#core/access/holder-import.ts';
import type { HolderRow, ImportProblem } from '#core/access/holder-row.ts';
import type { HolderFileOptions } from './holder-file.ts';
import { textBlocks } from './text-blocks.ts';

/**
 * Reads a list of holders with one JSON object a line (NDJSON, UTF-8): the members are the columns of a CSV list by
 * their English names, `groups` may be an array. Throws Fault `file-unreadable`.
 */
export async function* readHolderLines(
  options: Omit<HolderFileOptions, 'encoding'>,
): AsyncIterable<readonly (HolderRow | ImportProblem)[]> {
  const { file, mode, rules, progress } = options;
  const reader = new HolderRowReader({ columns: holderColumns, mode, rules });
  let line = 0;
  for await (const block of textBlocks(file, 'utf-8')) {
    const results: (HolderRow | ImportProblem)[] = [...block.faults];
    const leftOut = new Set(block.faults.map((fault) => fault.line));
    for (const text of block.text.replace(/\n$/, '').split('\n')) {
      line += 1;
      if (!leftOut.has(line)) results.push(...readLine(reader, line, text));
    }
    yield results;
    progress?.(block.bytesRead);
  }
}

function readLine(
  reader: HolderRowReader,
  line: number,
  text: string,
): readonly (HolderRow | ImportProblem)[] {
  if (text.trim() === '') return [];
  let members: unknown;
  try {
    members = JSON.parse(text);
  } catch {
    return [{ line, text: 'the line is no JSON' }];
  }
  if (typeof members !== 'object' || members === null || Array.isArray(members)) {
    return [{ line, text: 'the line is no JSON object' }];
  }
  const unknown = Object.keys(members).filter((name) => !holderColumns.some((column) => column === name));
  if (unknown.length > 0) {
    return [{ line, text: `a member has an unknown name; possible: ${holderColumns.join(', ')}` }];
  }
  const values = members as Readonly<Record<string, unknown>>;
  const bare = holderColumns.filter((column) => !isWritten(column, values[column]));
  if (bare.length > 0) return [{ line, text: `${bare.join(', ')} must be text in quotes` }];
  const result = reader.read(
    line,
    holderColumns.map((column) => cellOf(values[column])),
  );
  return 'holderId' in result ? [result] : result;
}

/** A user number that stands as a number has lost its leading zeros already. */
function isWritten(column: HolderColumn, value: unknown): boolean {
  if (value === undefined || value === null || typeof value === 'string') return true;
  if (column === 'key_version') return typeof value === 'number';
  return column === 'groups' && Array.isArray(value) && value.every((group) => typeof group === 'string');
}

function cellOf(value: unknown): string {
  if (value === undefined) return '';
  if (value === null) return 'none';
  return Array.isArray(value) ? value.map(String).join(';') || 'none' : String(value);
}
