import type { CommandAction } from '#core/sync/command.ts';
import { isSiteAction } from '#core/sync/site-command.ts';
import type { Change } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';

type Declared = Pick<PermissionsTables['command_orders'], 'action' | 'condition'>;

/** Whether nothing that was declared or ended of the same before counts any more. */
function isWhole(action: CommandAction): boolean {
  return isSiteAction(action) && (action.kind === 'threat-level' || action.zones === undefined);
}

/** Whether nothing of what `earlier` declared or ended of the same counts once `later` is given. */
export function takesPlaceOf(later: CommandAction, earlier: CommandAction): boolean {
  if (isWhole(later)) return true;
  const zones = new Set(zonesOf(later));
  return !isWhole(earlier) && zonesOf(earlier).every((zone) => zones.has(zone));
}

/** Of orders in the order they were given, those that still say something, in the same order. */
export function standing<O extends Declared>(orders: readonly O[]): readonly O[] {
  const kept = new Set<O>();
  for (const same of Map.groupBy(orders, ({ condition }) => condition).values()) {
    const later = new Set<string>();
    for (const order of same.toReversed()) {
      const action = JSON.parse(order.action) as CommandAction;
      const zones = zonesOf(action);
      if (isWhole(action) || !zones.every((zone) => later.has(zone))) kept.add(order);
      if (isWhole(action)) break;
      for (const zone of zones) later.add(zone);
    }
  }
  return orders.filter((order) => kept.has(order));
}

/** Says that whatever device is heard next as a terminal nobody had heard of before is to be told of conditions. */
export async function awaitDevice(
  { db }: Pick<Change<PermissionsTables>, 'db'>,
  terminal: string,
): Promise<void> {
  await db
    .insertInto('told_devices')
    .values({ terminal_id: terminal, incarnation: '' })
    .onConflict((at) => at.column('terminal_id').doNothing())
    .execute();
}

/**
 * Has a terminal told anew of all conditions that it was told of and that still say something, where its journal is
 * another one than before: the device was replaced or put back, or its database is gone. A terminal of which nothing is
 * known, as before an update of this server, is not told anew: what was ended there meanwhile is not known here.
 */
export async function tellAnother(
  { db }: Pick<Change<PermissionsTables>, 'db'>,
  terminal: string,
  incarnation: string,
): Promise<void> {
  const first = await db
    .insertInto('told_devices')
    .values({ terminal_id: terminal, incarnation })
    .onConflict((at) => at.column('terminal_id').doNothing())
    .executeTakeFirst();
  if (first.numInsertedOrUpdatedRows !== 0n) return;
  const another = await db
    .updateTable('told_devices')
    .set({ incarnation })
    .where('terminal_id', '=', terminal)
    .where('incarnation', '<>', incarnation)
    .executeTakeFirst();
  if (another.numUpdatedRows === 0n) return;
  const orders = await db
    .selectFrom('commands')
    .innerJoin('command_orders', 'command_orders.order_id', 'commands.order_id')
    .select(['commands.order_id', 'condition', 'action'])
    .where('terminal_id', '=', terminal)
    .where('condition', '<>', '')
    .where('state', '<>', 'superseded')
    .orderBy('commands.order_id')
    .execute();
  for (const { order_id } of standing(orders))
    await db
      .updateTable('commands')
      .set({ state: 'waiting', outcome: null, result: null, answered_at_ms: null })
      .where('order_id', '=', order_id)
      .where('terminal_id', '=', terminal)
      .execute();
}

/** Has nothing more done of conditions that wait: what became of them since is not known here. */
export async function tellNoMore({ db }: Pick<Change<PermissionsTables>, 'db'>): Promise<void> {
  await db
    .updateTable('commands')
    .set({ state: 'unanswered' })
    .where('state', '=', 'waiting')
    .where('order_id', 'in', (of) =>
      of.selectFrom('command_orders').select('order_id').where('condition', '<>', ''),
    )
    .execute();
}

function zonesOf(action: CommandAction): readonly string[] {
  return 'zones' in action ? (action.zones ?? []) : [];
}
