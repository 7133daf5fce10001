import { makeCommonTables } from '../common-tables.ts';
import type { TableMaker } from '../tables.ts';

export async function platform0001(tables: TableMaker): Promise<void> {
  await makeCommonTables(tables);
  await tables.table(
    'organizations',
    { organization_id: 'text', number: 'integer', name: 'text', made_at_ms: 'integer' },
    ['organization_id'],
  );
}
