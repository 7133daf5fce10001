import { noPrevious } from '#core/journal/entry.ts';
import type { TableMaker } from './tables.ts';

/** What every database has in which administrators change something. */
export interface CommonTables {
  /** one row; whoever changes anything locks it first, so that numbers come into force in their order */
  server_state: {
    one: number;
    change_number: number;
    /** 0 while changes that belong together are half applied */
    settled: number;
    audit_incarnation: string;
    audit_sequence: number;
    audit_hash: string;
  };
  audit: { sequence: number; raw: Uint8Array; hash: Uint8Array };
  audit_personal: { sequence: number; field: string; salt: Uint8Array; value: string };
  /** signed heads of the audit journal, by the entry each signs */
  audit_checkpoints: { sequence: number; raw: Uint8Array; signature: Uint8Array };
  /** answers to requests that carried an Idempotency-Key; `answer` is JSON */
  requests: { principal: string; key: string; request_hash: string; answer: string; made_at_ms: number };
}

export async function makeCommonTables(tables: TableMaker): Promise<void> {
  await tables.table(
    'server_state',
    {
      one: 'integer',
      change_number: 'integer',
      settled: 'integer',
      audit_incarnation: 'text',
      audit_sequence: 'integer',
      audit_hash: 'text',
    },
    ['one'],
  );
  await tables.row('server_state', {
    one: 1,
    change_number: 0,
    settled: 1,
    audit_incarnation: '',
    audit_sequence: 0,
    audit_hash: noPrevious,
  });
  await tables.table('audit', { sequence: 'integer', raw: 'bytes', hash: 'bytes' }, ['sequence']);
  await tables.table('audit_personal', { sequence: 'integer', field: 'text', salt: 'bytes', value: 'text' }, [
    'sequence',
    'field',
  ]);
  await tables.table('audit_checkpoints', { sequence: 'integer', raw: 'bytes', signature: 'bytes' }, [
    'sequence',
  ]);
  await tables.table(
    'requests',
    { principal: 'text', key: 'text', request_hash: 'text', answer: 'text', made_at_ms: 'integer' },
    ['principal', 'key'],
  );
  await tables.index('requests_by_age', 'requests', ['made_at_ms']);
}
