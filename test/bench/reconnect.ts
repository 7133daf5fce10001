import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { steadyPassages } from '#simulators/fleet/days.ts';
import { FleetProcess } from '#simulators/fleet/fleet-process.ts';
import { enterPeople } from '../issuance/organization-bench.ts';
import type { TimedTap } from './connected-taps.ts';
import { latencies, percentile } from './figures.ts';
import { drained, mistakes, pause } from './fleet-figures.ts';
import { cores, FleetServer } from './fleet-server.ts';

/**
 * `node test/bench/reconnect.ts [--terminals N] [--short]`
 *
 * All terminals lose the broker at once, while they write: it is killed and started again, first the embedded one with its
 * server, then mosquitto alone. One more is a real device, at which a card is held up all the while; it goes before the
 * others on this machine, as it has one of its own. Fails where somebody is not served again, an entry is lost, doubled or
 * another one, or a card is refused; in full also where the p99 of its taps is above `ratioLimit` times that before.
 */
const { values } = parseArgs({
  options: {
    terminals: { type: 'string', default: '2000' },
    short: { type: 'boolean', default: false },
  },
});
const terminals = values.short ? 60 : Number(values.terminals);
/** passages a second, of all terminals */
const rate = values.short ? 20 : 100;
const lastsMs = values.short ? 3_000 : 60_000;
const backWithinMs = 180_000;

const ratioLimit = 1.5;
const otherPriority = 15;
const brokers = values.short ? (['mosquitto'] as const) : (['embedded', 'mosquitto'] as const);
const devices = brokers.map(() => fork(fileURLToPath(new URL('connected-taps.ts', import.meta.url))));
// inherited by all that is started from here on
setPriority(otherPriority);

// a server takes seconds to come back, and those who come meanwhile wait longer: too long for the quick form
for (const [index, broker] of brokers.entries()) {
  const device = devices[index] as ChildProcess;
  // the device is one of them
  const server = new FleetServer({ most: terminals + 1, broker });
  const fleet = new FleetProcess({ core: cores?.fleet });
  try {
    await run(broker, { server, fleet, device });
  } finally {
    device.kill();
    await fleet.stop();
    await server.stop();
  }
}

async function run(
  broker: string,
  parts: { readonly server: FleetServer; readonly fleet: FleetProcess; readonly device: ChildProcess },
): Promise<void> {
  const { server, fleet, device } = parts;
  const members = await server.prepare(terminals, async ({ services }) => {
    const city = await services.find('city');
    if (city) await enterPeople(city);
  });
  const passages = steadyPassages([rate], { terminals, stepMs: lastsMs, seed: 1 });
  fleet.start();
  const { entries } = await fleet.prepare({
    broker: server.broker(),
    tasks: members.map((member, index) => ({ member, atMs: passages[index] ?? [] })),
    passagesInBatch: 1,
    seed: 1,
    disturbed: false,
  });
  await server.start();
  const directory = await server.enrol('device');
  const running = once(device, 'message');
  device.send([directory, 'device']);
  await running;
  await fleet.connect(values.short ? 500 : 5 * terminals);
  await fleet.begin();
  const beganMs = performance.now();
  await pause(lastsMs / 6);
  const lostAtMs = Date.now();
  await server.restartBroker();
  const times = await backAgain(fleet);
  // nothing waits, either, before the last of it has happened
  await pause(Math.max(0, beganMs + lastsMs + 500 - performance.now()));
  await drained(fleet, backWithinMs);
  const steadyS = (Date.now() - lostAtMs) / 1_000;
  const tapped = once(device, 'message');
  device.send('end');
  const [taps] = (await tapped) as [readonly TimedTap[]];
  const report = await fleet.report();
  await server.end('SIGTERM');
  const wrong = await mistakes(server, report, entries);
  const [half, most, all] = times.map((ms) => (Number.isNaN(ms) ? '-' : `${(ms / 1_000).toFixed(1)} s`));
  console.log(`${broker}: ${terminals} terminals, ${rate} passages/s, the broker killed and started again`);
  console.log(`  served again after its start: half ${half}, 99 % ${most}, all ${all}`);
  console.log(`  all that had happened until then stored ${steadyS.toFixed(1)} s after the loss`);
  console.log(`  lost or refused: ${[...report.lost].map(([why, times]) => `${why} ${times}`).join(', ')}`);
  if (!areUnaffected(taps, lostAtMs)) process.exitCode = 1;
  for (const one of wrong) console.log(`  WRONG: ${one}`);
  if (wrong.length > 0 || all === '-') process.exitCode = 1;
}

/** When half, 99 % and all of them were connected, in milliseconds from now. */
async function backAgain(fleet: FleetProcess): Promise<readonly number[]> {
  const beganMs = performance.now();
  const shares = [0.5, 0.99, 1].map((share) => Math.ceil(share * terminals));
  const times = shares.map(() => Number.NaN);
  let lost = false;
  while (times.includes(Number.NaN) && performance.now() - beganMs < backWithinMs) {
    const { connected } = await fleet.status();
    // those that have not noticed yet are not back
    lost ||= connected < terminals / 2;
    for (const [i, share] of shares.entries())
      if (lost && connected >= share) times[i] ||= performance.now() - beganMs;
    await pause(50);
  }
  return times;
}

/** Compares the taps before the broker was lost, once the device had warmed up, with those from then on. */
function areUnaffected(taps: readonly TimedTap[], lostAtMs: number): boolean {
  const [before, after] = [
    taps.filter(({ atMs }) => atMs < lostAtMs).slice(values.short ? 0 : 100),
    taps.filter(({ atMs }) => atMs >= lostAtMs),
  ].map((some) => some.map(({ tookMs }) => 1_000 * tookMs)) as [number[], number[]];
  const refused = taps.filter(({ result }) => result !== 'granted').length;
  const ratio = percentile(after, 0.99) / percentile(before, 0.99);
  console.log(`  taps at a device before: ${latencies(before)} (${before.length})`);
  console.log(`  taps from the loss to the end: ${latencies(after)} (${after.length}), ${refused} refused`);
  console.log(`  p99 against before: ${ratio.toFixed(2)} (at most ${ratioLimit})`);
  return refused === 0 && after.length > 0 && (values.short || ratio <= ratioLimit);
}
