import type { TableMaker } from '../tables.ts';

/** What change sets that are half applied still take away; which device of a terminal was told of conditions. */
export async function permissions0006(tables: TableMaker): Promise<void> {
  await tables.table('planned_ends', { change_set_id: 'text', holder_id: 'text' }, [
    'change_set_id',
    'holder_id',
  ]);
  await tables.table('told_devices', { terminal_id: 'text', incarnation: 'text' }, ['terminal_id']);
}
