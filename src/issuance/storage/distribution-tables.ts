import { type LeaseTables, makeLeaseTables } from './lease-tables.ts';
import type { TableMaker } from './tables.ts';

/** What is distributed to terminals. All but `terminal_places` and the numbers in `terminal_policies` can be built anew. */
export interface DistributionTables extends LeaseTables {
  /** one row */
  distribution: {
    one: number;
    /** every change up to this number is in `view_holders`, and marked where a bucket is to be made anew */
    taken: number;
    /** what the plan in `terminal_policies` was made of */
    plan_key: string;
  };
  /** places of each terminal by the names of the rules; JSON */
  terminal_places: {
    terminal_id: string;
    doors: string;
    zones: string;
    services: string;
    change_number: number;
  };
  /** holders as some terminals need them; `part` is `PolicyView.holderPart` */
  views: {
    view_id: number;
    part: string;
    /** the last holder, in their order, who was looked at; null once all were */
    placed_after: string | null;
    /** -1 until all holders were looked at */
    bits: number;
    holders: number;
    /** buckets below this number are in the index, but for those marked */
    filled: number;
    /** whether the index was changed since it was sealed */
    changed: number;
    /** as it was sealed last: index hash, bits, number of the change that brought it, and of the one before */
    root: string | null;
    root_bits: number;
    root_number: number;
    root_before: number;
  };
  /** who is in a view; `place` is the bucket among 2^20 */
  view_holders: { view_id: number; place: number; holder_id: string };
  /** hashes of buckets, 256 a page */
  view_pages: { view_id: number; bits: number; page: number; hashes: Uint8Array };
  /** buckets to be made anew */
  marked_buckets: { view_id: number; bucket: number };
  /** when a bucket was last made anew */
  bucket_changes: { view_id: number; bucket: number; change_number: number };
  chunks: { hash: string; bytes: Uint8Array; uses: number; unused_since_ms: number };
  terminal_policies: {
    terminal_id: string;
    /** what it is to have by the rules; 0 for none any more */
    planned_view: number;
    planned_rules: string;
    /** what it was given last; version 0 before the first */
    version: number;
    view_id: number;
    rules_hash: string;
    rules_number: number;
    root: string;
    bits: number;
    holders: number;
    change_number: number;
    /** of the manifest that was signed last, if any */
    issued_version: number;
    issued_at_ms: number;
  };
}

export async function makeDistributionTables(tables: TableMaker): Promise<void> {
  await makeLeaseTables(tables);
  await tables.table('distribution', { one: 'integer', taken: 'integer', plan_key: 'text' }, ['one']);
  await tables.row('distribution', { one: 1, taken: 0, plan_key: '' });
  await tables.table(
    'terminal_places',
    { terminal_id: 'text', doors: 'text', zones: 'text', services: 'text', change_number: 'integer' },
    ['terminal_id'],
  );
  await makeViews(tables);
  await tables.table(
    'chunks',
    { hash: 'text', bytes: 'bytes', uses: 'integer', unused_since_ms: 'integer' },
    ['hash'],
  );
  await tables.index('chunks_by_use', 'chunks', ['uses', 'unused_since_ms']);
  await tables.table(
    'terminal_policies',
    {
      terminal_id: 'text',
      planned_view: 'integer',
      planned_rules: 'text',
      version: 'integer',
      view_id: 'integer',
      rules_hash: 'text',
      rules_number: 'integer',
      root: 'text',
      bits: 'integer',
      holders: 'integer',
      change_number: 'integer',
      issued_version: 'integer',
      issued_at_ms: 'integer',
    },
    ['terminal_id'],
  );
}

async function makeViews(tables: TableMaker): Promise<void> {
  await tables.table(
    'views',
    {
      view_id: 'integer',
      part: 'text',
      placed_after: 'text?',
      bits: 'integer',
      holders: 'integer',
      filled: 'integer',
      changed: 'integer',
      root: 'text?',
      root_bits: 'integer',
      root_number: 'integer',
      root_before: 'integer',
    },
    ['view_id'],
  );
  await tables.table('view_holders', { view_id: 'integer', place: 'integer', holder_id: 'text' }, [
    'view_id',
    'place',
    'holder_id',
  ]);
  await tables.table(
    'view_pages',
    { view_id: 'integer', bits: 'integer', page: 'integer', hashes: 'bytes' },
    ['view_id', 'bits', 'page'],
  );
  await tables.table('marked_buckets', { view_id: 'integer', bucket: 'integer' }, ['view_id', 'bucket']);
  await tables.table('bucket_changes', { view_id: 'integer', bucket: 'integer', change_number: 'integer' }, [
    'view_id',
    'bucket',
  ]);
  await tables.index('bucket_changes_by_number', 'bucket_changes', ['view_id', 'change_number']);
}
