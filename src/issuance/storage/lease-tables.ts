import type { TableMaker } from './tables.ts';

/** What one process at a time does for all that share a database. */
export interface LeaseTables {
  leases: { name: string; owner: string; until_ms: number };
}

export async function makeLeaseTables(tables: TableMaker): Promise<void> {
  await tables.table('leases', { name: 'text', owner: 'text', until_ms: 'integer' }, ['name']);
}
