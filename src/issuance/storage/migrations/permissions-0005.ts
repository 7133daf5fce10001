import { makeGroupTables } from '../group-tables.ts';
import type { TableMaker } from '../tables.ts';

/** What terminals that count together know. */
export async function permissions0005(tables: TableMaker): Promise<void> {
  await makeGroupTables(tables);
}
