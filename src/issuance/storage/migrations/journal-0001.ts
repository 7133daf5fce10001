import { seldomEntries } from '../journal-tables.ts';
import type { TableMaker } from '../tables.ts';

/** Journals of terminals. */
export async function journal0001(tables: TableMaker): Promise<void> {
  await tables.table('journal_terminals', { terminal: 'text', latest_chain: 'integer' }, ['terminal']);
  await tables.table(
    'chains',
    {
      chain: 'integer',
      terminal: 'text',
      incarnation: 'text',
      registered_at_ms: 'integer',
      sequence: 'integer',
      hash: 'text',
      signed_through: 'integer',
      returned: 'integer',
      compare_behind: 'integer',
      compare_through: 'integer',
    },
    ['chain'],
  );
  await tables.index('chains_by_incarnation', 'chains', ['terminal', 'incarnation']);
  const entry = { chain: 'integer', sequence: 'integer', raw: 'bytes' } as const;
  await tables.table(
    'entries',
    {
      ...entry,
      hash: 'bytes',
      kind: 'text',
      at_ms: 'integer',
      tap_id: 'text?',
      door: 'text?',
      received_at_ms: 'integer',
    },
    ['chain', 'sequence'],
    { heap: true },
  );
  await tables.index('entries_by_time', 'entries', ['at_ms', 'chain', 'sequence']);
  await tables.index('entries_by_door', 'entries', ['door', 'at_ms']);
  await tables.index('entries_by_tap', 'entries', ['tap_id']);
  await tables.index('entries_by_kind', 'entries', ['kind', 'at_ms', 'chain', 'sequence'], seldomEntries);
  await tables.table(
    'personal',
    { chain: 'integer', sequence: 'integer', field: 'text', salt: 'bytes', value: 'text' },
    ['chain', 'sequence', 'field'],
  );
  await tables.table('checkpoints', { ...entry, signature: 'bytes' }, ['chain', 'sequence']);
  await tables.table('evidence', { ...entry, kind: 'text', signature: 'bytes?', received_at_ms: 'integer' }, [
    'chain',
    'sequence',
    'kind',
  ]);
  await tables.table(
    'alarms',
    {
      chain: 'integer',
      kind: 'text',
      from_sequence: 'integer',
      to_sequence: 'integer',
      raised_at_ms: 'integer',
    },
    ['chain', 'kind', 'from_sequence'],
  );
}
