import type { Conflict } from '#core/access/fact-kinds.ts';
import type { TableMaker } from './tables.ts';

/** What terminals that count together know. All but the conflicts can be told anew by the terminals. */
export interface GroupTables {
  /** one row; whoever takes something locks it first, so that numbers become known in their order */
  group_state: {
    one: number;
    /** another one each time something may have been forgotten here */
    server: string;
    number: number;
  };
  /** incarnations of each terminal; only the last one that came is heard */
  group_writers: { terminal_id: string; incarnation: string; came: number };
  /** facts as each terminal has them; `holder_id` is empty for those of no holder, `value` (JSON) null for none */
  group_facts: {
    holder_id: string;
    key: string;
    terminal_id: string;
    incarnation: string;
    n: number;
    value: string | null;
    at_ms: number;
    number: number;
    /** up to which number its terminal knew the others then */
    heard: number;
  };
  group_conflicts: {
    /** of the change that brought it to light */
    number: number;
    kind: Conflict;
    key: string;
    holder_id: string;
    terminal_id: string;
    other_terminal_id: string;
    found_at_ms: number;
  };
}

export async function makeGroupTables(tables: TableMaker): Promise<void> {
  await tables.table('group_state', { one: 'integer', server: 'text', number: 'integer' }, ['one']);
  await tables.row('group_state', { one: 1, server: '', number: 0 });
  await tables.table('group_writers', { terminal_id: 'text', incarnation: 'text', came: 'integer' }, [
    'terminal_id',
    'incarnation',
  ]);
  await tables.table(
    'group_facts',
    {
      holder_id: 'text',
      key: 'text',
      terminal_id: 'text',
      incarnation: 'text',
      n: 'integer',
      value: 'text?',
      at_ms: 'integer',
      number: 'integer',
      heard: 'integer',
    },
    ['holder_id', 'key', 'terminal_id'],
  );
  await tables.index('group_facts_by_number', 'group_facts', ['number']);
  await tables.table(
    'group_conflicts',
    {
      number: 'integer',
      kind: 'text',
      key: 'text',
      holder_id: 'text',
      terminal_id: 'text',
      other_terminal_id: 'text',
      found_at_ms: 'integer',
    },
    ['number', 'other_terminal_id'],
  );
}
