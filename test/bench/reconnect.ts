import { parseArgs } from 'node:util';
import { steadyPassages } from '#simulators/fleet/days.ts';
import { FleetProcess } from '#simulators/fleet/fleet-process.ts';
import { drained, mistakes, pause } from './fleet-figures.ts';
import { cores, FleetServer } from './fleet-server.ts';

/**
 * `node test/bench/reconnect.ts [--terminals N] [--short]`
 *
 * All terminals lose the broker at once, while they write: it is killed and started again, first the embedded one with its
 * server, then mosquitto alone. Fails where somebody is not served again, or an entry is lost, doubled or another one.
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

// a server takes seconds to come back, and those who come meanwhile wait longer: too long for the quick form
for (const broker of values.short ? (['mosquitto'] as const) : (['embedded', 'mosquitto'] as const)) {
  const server = new FleetServer({ most: terminals, broker });
  const fleet = new FleetProcess({ core: cores?.fleet });
  try {
    await run(broker, server, fleet);
  } finally {
    await fleet.stop();
    await server.stop();
  }
}

async function run(broker: string, server: FleetServer, fleet: FleetProcess): Promise<void> {
  const members = await server.prepare(terminals);
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
  await fleet.connect(values.short ? 500 : 5 * terminals);
  await fleet.begin();
  const beganMs = performance.now();
  await pause(lastsMs / 6);
  await server.restartBroker();
  const times = await backAgain(fleet);
  // nothing waits, either, before the last of it has happened
  await pause(Math.max(0, beganMs + lastsMs + 500 - performance.now()));
  await drained(fleet, backWithinMs);
  const report = await fleet.report();
  await server.end('SIGTERM');
  const wrong = await mistakes(server, report, entries);
  const [half, most, all] = times.map((ms) => (Number.isNaN(ms) ? '-' : `${(ms / 1_000).toFixed(1)} s`));
  console.log(`${broker}: ${terminals} terminals, ${rate} passages/s, the broker killed and started again`);
  console.log(`  served again after its start: half ${half}, 99 % ${most}, all ${all}`);
  console.log(`  lost or refused: ${[...report.lost].map(([why, times]) => `${why} ${times}`).join(', ')}`);
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
