import { makeDistributionTables } from '../distribution-tables.ts';
import type { TableMaker } from '../tables.ts';

/** What is distributed to terminals. */
export async function permissions0003(tables: TableMaker): Promise<void> {
  await makeDistributionTables(tables);
}
