import type { TableMaker } from '../tables.ts';

/** What is let go of, by rule or for a person; entries by whom they are about. */
export async function journal0002(tables: TableMaker): Promise<void> {
  await tables.table(
    'forgotten',
    { chain: 'integer', sequence: 'integer', hash: 'bytes', forgotten_at_ms: 'integer' },
    ['chain'],
  );
  await tables.table(
    'erasures',
    { chain: 'integer', from_sequence: 'integer', to_sequence: 'integer', erased_at_ms: 'integer' },
    ['chain', 'from_sequence', 'to_sequence'],
  );
  await tables.table('retention', { what: 'text', days: 'integer' }, ['what']);
  await tables.index('personal_by_value', 'personal', ['value']);
}
