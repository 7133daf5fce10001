import { makeCommandTables } from '../command-tables.ts';
import type { TableMaker } from '../tables.ts';

/** What terminals are told to do. */
export async function permissions0004(tables: TableMaker): Promise<void> {
  await makeCommandTables(tables);
}
