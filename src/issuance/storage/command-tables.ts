import type { CommandOutcome } from '#core/sync/command.ts';
import type { TableMaker } from './tables.ts';

/**
 * `waiting`: sent again and again until its result comes; `superseded`: something that was declared later counts, so it
 * is not sent any more; `unanswered`: nothing was heard of it for so long that the terminal would not know any more
 */
export type CommandState = 'waiting' | 'answered' | 'superseded' | 'unanswered';

/** What terminals were told to do. */
export interface CommandTables {
  command_orders: {
    /** in the order they were given */
    order_id: string;
    /** JSON (`CommandAction`) */
    action: string;
    /** what it declares or ends and is to reach each terminal however late, such as `lockdown`; else empty */
    condition: string;
    /** whether it counts for terminals, too, that are enrolled later */
    everywhere: number;
    issued_by: string;
    reason: string;
    valid_ms: number;
    made_at_ms: number;
  };
  /** one for each terminal of an order */
  commands: {
    order_id: string;
    terminal_id: string;
    /** of the document that was signed last for it */
    command_id: string;
    document: Uint8Array;
    issued_at_ms: number;
    expires_at_ms: number;
    state: CommandState;
    outcome: CommandOutcome | null;
    /** JSON (`CommandResult`) */
    result: string | null;
    answered_at_ms: number | null;
  };
  /** whose journal it was that answered: another one has nothing of what was told before */
  told_devices: { terminal_id: string; incarnation: string };
}

export async function makeCommandTables(tables: TableMaker): Promise<void> {
  await tables.table(
    'command_orders',
    {
      order_id: 'text',
      action: 'text',
      condition: 'text',
      everywhere: 'integer',
      issued_by: 'text',
      reason: 'text',
      valid_ms: 'integer',
      made_at_ms: 'integer',
    },
    ['order_id'],
  );
  await tables.index('command_orders_by_condition', 'command_orders', ['condition', 'order_id']);
  await tables.table(
    'commands',
    {
      order_id: 'text',
      terminal_id: 'text',
      command_id: 'text',
      document: 'bytes',
      issued_at_ms: 'integer',
      expires_at_ms: 'integer',
      state: 'text',
      outcome: 'text?',
      result: 'text?',
      answered_at_ms: 'integer?',
    },
    ['order_id', 'terminal_id'],
  );
  await tables.index('commands_by_state', 'commands', ['state', 'order_id']);
  await tables.index('commands_by_id', 'commands', ['command_id']);
}
