import type { ImportMode, ImportProblem } from './holder-row.ts';

/** Columns of a list of holders, with the names each may have in the first line. */
const names = {
  user_number: ['利用者番号'],
  profile: ['プロファイル', 'カードプロファイル'],
  holder: ['利用者', '利用者id'],
  status: ['状態', '利用者状態'],
  valid_from: ['有効開始', '有効開始日', '有効開始日時'],
  valid_until: ['有効期限', '有効終了', '有効終了日', '有効終了日時'],
  groups: ['グループ'],
  card_status: ['カード状態'],
  key_version: ['鍵バージョン'],
  diversifier: ['カード識別値'],
} as const;
export type HolderColumn = keyof typeof names;
export const holderColumns = Object.keys(names) as readonly HolderColumn[];

/** The names a column may have, for help texts. */
export function columnNames(column: HolderColumn): readonly string[] {
  return [column, ...names[column]];
}

const byName = new Map(holderColumns.flatMap((column) => columnNames(column).map((name) => [name, column])));

/**
 * Reads the first line: which column stands where. A complete list must say which groups everybody is in, since a
 * missing column would take them away from all.
 */
export function readHeader(
  line: number,
  cells: readonly string[],
  options: { readonly mode: ImportMode; readonly profiles: number },
): { readonly columns: readonly HolderColumn[] } | { readonly problems: readonly ImportProblem[] } {
  const problems: ImportProblem[] = [];
  const columns: HolderColumn[] = [];
  for (const [index, cell] of cells.entries()) {
    const name = cell.normalize('NFKC').trim().toLowerCase().replaceAll(/[ -]/g, '_');
    const column = byName.get(name) as HolderColumn | undefined;
    if (!column) {
      const text = `column ${index + 1} has an unknown name; the first line names the columns: ${holderColumns.join(', ')}`;
      problems.push({ line, text });
    } else if (columns.includes(column)) {
      problems.push({ line, text: `column ${index + 1}: ${column} stands twice; remove one` });
    }
    columns.push(column ?? 'user_number');
  }
  const needed: HolderColumn[] = ['user_number'];
  if (options.profiles > 1) needed.push('profile');
  if (options.mode === 'complete') needed.push('groups');
  if (problems.length === 0) {
    for (const column of needed) {
      if (!columns.includes(column)) problems.push({ line, text: missing(column) });
    }
  }
  return problems.length > 0 ? { problems } : { columns };
}

function missing(column: HolderColumn): string {
  const written = columnNames(column).join(' or ');
  if (column === 'profile')
    return `no column ${written}; the rules admit several card profiles, so each line must name one`;
  if (column === 'groups')
    return `no column ${written}; without it a complete list would leave nobody in any group`;
  return `no column ${written}`;
}
