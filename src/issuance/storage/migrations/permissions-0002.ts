import type { TableMaker } from '../tables.ts';

/** Terminals and their certificates. */
export async function permissions0002(tables: TableMaker): Promise<void> {
  await tables.table('terminals', { terminal_id: 'text', name: 'text', made_at_ms: 'integer' }, [
    'terminal_id',
  ]);
  await tables.table(
    'enrolments',
    {
      terminal_id: 'text',
      secret_hash: 'text',
      made_by: 'text',
      made_at_ms: 'integer',
      expires_at_ms: 'integer',
      serial_number: 'text?',
    },
    ['terminal_id'],
  );
  await tables.table(
    'certificates',
    {
      serial_number: 'text',
      terminal_id: 'text',
      key_id: 'text',
      device_key: 'bytes',
      certificate: 'bytes',
      not_before_ms: 'integer',
      not_after_ms: 'integer',
      revoked_at_ms: 'integer?',
      reason: 'text?',
    },
    ['serial_number'],
  );
  await tables.table(
    'terminal_states',
    {
      terminal_id: 'text',
      state: 'text',
      policy: 'text?',
      heard_at_ms: 'integer',
      offline_from_ms: 'integer',
    },
    ['terminal_id'],
  );
  await tables.index('certificates_by_terminal', 'certificates', ['terminal_id', 'not_before_ms']);
}
