import { SystemClock } from '#adapters/os/clock.ts';
import type { FleetOrder } from './fleet-protocol.ts';
import { FleetRun } from './fleet-run.ts';

/** A process of a fleet, which does what its parent orders, one after another, and ends with it. */
const clock = new SystemClock();
let run: FleetRun | undefined;
let doing = Promise.resolve();

process.on('message', (order: FleetOrder) => {
  doing = doing.then(async () => {
    process.send?.({ answer: await done(order) });
  });
});
process.once('disconnect', () => void run?.stop().then(() => process.exit()));

async function done(order: FleetOrder): Promise<unknown> {
  if (order.kind === 'prepare') run = new FleetRun({ plan: order.plan, clock });
  if (!run) throw new Error('nothing is prepared');
  switch (order.kind) {
    case 'prepare':
      return run.prepare();
    case 'connect':
      return run.connect(order.overMs);
    case 'begin':
      return run.begin();
    case 'network':
      return run.network(order.open);
    case 'cut':
      return run.cut(order.share);
    case 'pass':
      return run.pass(order.passage, order.share);
    case 'status':
      return run.status();
    case 'report':
      return run.report();
    default:
      return order satisfies never;
  }
}
