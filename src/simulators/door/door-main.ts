import { hrtime } from 'node:process';
import { parseArgs } from 'node:util';
import { DoorServer } from './door-server.ts';

/**
 * Runs simulated doors in a process of their own until it is ended:
 * `node door-main.ts --socket PATH --record PATH --door ID…`; writes `ready` and a line break when it can be driven.
 */
const { values } = parseArgs({
  options: {
    socket: { type: 'string' },
    record: { type: 'string' },
    door: { type: 'string', multiple: true },
  },
});
if (!values.socket || !values.record || !values.door) {
  process.stderr.write('usage: door-main.ts --socket PATH --record PATH --door ID...\n');
  process.exit(2);
}
const server = new DoorServer({
  socketPath: values.socket,
  recordPath: values.record,
  doors: values.door,
  clock: {
    utcMs: () => Date.now(),
    monotonicUs: () => Number(hrtime.bigint() / 1_000n),
    trusted: () => true,
    bootId: () => 'simulated',
    after: (delayMs, action) => {
      const timer = setTimeout(action, delayMs);
      return () => clearTimeout(timer);
    },
  },
});
await server.start();
process.stdout.write('ready\n');
process.once('SIGTERM', () => void server.stop().then(() => process.exit(0)));
