import { GuardedDoors } from '#adapters/process/guarded-doors.ts';
import type { HardwarePart } from '#core/access/door-wiring.ts';

/**
 * A terminal reduced to its door, for tests that end it: unlocks the door `front` and says so, then waits to be
 * killed, or (`hang`) stops turning its event loop. Usage: node door-terminal.ts HARDWARE-PART-JSON wait|hang
 */
const [part = '', then] = process.argv.slice(2);
const guarded = new GuardedDoors({
  parts: [JSON.parse(part) as HardwarePart],
  doorIds: ['front'],
  readerIds: [],
});
await guarded.start();
const door = guarded.doors.get('front');
await door?.start(() => undefined);
await door?.unlock(60_000, 'tap');
process.stdout.write(`${guarded.guardPid()}\n`);
if (then === 'hang') {
  // the write above has reached the pipe: standard output to a pipe is synchronous
  for (;;);
}
