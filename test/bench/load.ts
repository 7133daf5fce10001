import { parseArgs } from 'node:util';
import { busiestMs, dayNames, passagesOf } from '#simulators/fleet/days.ts';
import { FleetProcess } from '#simulators/fleet/fleet-process.ts';
import { writeReport } from './chart.ts';
import { percentile } from './figures.ts';
import {
  drained,
  latencySeries,
  milliseconds,
  mistakes,
  pause,
  throughput,
  warnOfLateness,
  within,
} from './fleet-figures.ts';
import { cores, FleetServer } from './fleet-server.ts';

/**
 * `node test/bench/load.ts [--day office|shifts|polling-day] [--terminals N] [--people N] [--seconds N] [--out FILE] [--short]`
 *
 * The load test (負荷試験): the busiest time of a day at all terminals of a fleet, connected to the real server over
 * TLS; then the server is killed in the midst of it, and everybody comes back at once. Passages happen when they happen,
 * whether the server keeps up or not, and latency counts from them. Fails where an entry is lost, doubled or another one,
 * where somebody is refused for good, or where p99 is above 2 s while nothing is wrong.
 */
const { values } = parseArgs({
  options: {
    day: { type: 'string', default: 'office' },
    terminals: { type: 'string', default: '2000' },
    people: { type: 'string' },
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: '1' },
    out: { type: 'string', default: 'dist/bench/load.html' },
    short: { type: 'boolean', default: false },
  },
});
const day = dayNames.find((name) => name === values.day);
if (!day) throw new Error(`the days are ${dayNames.join(', ')}`);
const terminals = values.short ? 60 : Number(values.terminals);
const people = Number(values.people ?? 125 * terminals);
const calmMs = values.short ? 4_000 : 1_000 * Number(values.seconds);
/** passages go on for so long while the server is away and comes back */
const stormMs = values.short ? 3_000 : 30_000;
const backWithinMs = 120_000;
const calmP99Ms = 2_000;

const server = new FleetServer({ most: terminals });
const fleet = new FleetProcess({ core: cores?.fleet });
try {
  await run();
} finally {
  await fleet.stop();
  await server.stop();
}

async function run(): Promise<void> {
  const members = await server.prepare(terminals);
  const fromMs = busiestMs[day as keyof typeof busiestMs];
  const passages = passagesOf(day as keyof typeof busiestMs, {
    people,
    terminals,
    seed: Number(values.seed),
    fromMs,
    toMs: fromMs + calmMs + stormMs,
  });
  fleet.start();
  const prepared = await fleet.prepare({
    broker: server.broker(),
    tasks: members.map((member, index) => ({ member, atMs: passages[index] ?? [] })),
    passagesInBatch: 1,
    seed: Number(values.seed),
    disturbed: false,
  });
  await server.start();
  const connecting = performance.now();
  await fleet.connect(values.short ? 500 : 5 * terminals);
  const connectedMs = performance.now() - connecting;
  const before = await server.figures();
  await fleet.begin();
  await pause(calmMs);
  const after = await server.figures();
  const { backMs, steadyMs } = await storm();
  const report = await fleet.report();
  await server.end('SIGTERM');
  const wrong = await mistakes(server, report, prepared.entries);

  const calm = within(report, 0, calmMs - 1_000).latenciesMs;
  const entriesPerSecond = (1_000 * prepared.entries) / (calmMs + stormMs);
  const cpu = (1_000 * (after.cpuSeconds - before.cpuSeconds)) / calmMs;
  const facts: [string, string][] = [
    ['day', `${day}, ${people} people, ${terminals} terminals`],
    [
      'all connected at first',
      `in ${(connectedMs / 1_000).toFixed(1)} s, asked for over ${values.short ? 0.5 : terminals / 200} s`,
    ],
    [
      'entries',
      `${prepared.entries}, ${Math.round(entriesPerSecond)} a second; 2016: 16,000 messages in 10 minutes, 27 a second`,
    ],
    ['from a passage until it is known to be stored', milliseconds(calm)],
    ['server', `${(100 * cpu).toFixed(0)} % of a core, ${Math.round(after.memoryBytes / 1e6)} MB`],
    ['server killed: all back', `${(backMs / 1_000).toFixed(1)} s after it was started again`],
    ['everything stored that had waited', `${(steadyMs / 1_000).toFixed(1)} s after it was started again`],
    ['lost, doubled or wrong', wrong.length === 0 ? 'none' : wrong.join('; ')],
  ];
  for (const [what, value] of facts) console.log(`${what}: ${value}`);
  warnOfLateness(report);
  writeReport(values.out, {
    title: `Load test: ${day}`,
    facts,
    charts: [
      { title: 'Entries', x: 'seconds', y: 'entries a second', series: throughput(report) },
      {
        title: 'From a passage until it is stored',
        x: 'seconds',
        y: 'milliseconds',
        series: latencySeries(report),
      },
    ],
  });
  console.log(`chart: ${values.out}`);
  if (wrong.length > 0) process.exitCode = 1;
  if (!values.short && percentile(calm, 0.99) > calmP99Ms) {
    console.error(`p99 is above ${calmP99Ms} ms`);
    process.exitCode = 1;
  }
}

/** Everybody is cut off at once, and comes back. */
async function storm(): Promise<{ readonly backMs: number; readonly steadyMs: number }> {
  await server.end('SIGKILL');
  await server.start();
  const began = performance.now();
  for (;;) {
    const { connected } = await fleet.status();
    if (connected === terminals) break;
    if (performance.now() - began > backWithinMs)
      throw new Error(`${terminals - connected} do not come back`);
    await pause(100);
  }
  const backMs = performance.now() - began;
  await drained(fleet, backWithinMs);
  const steadyMs = performance.now() - began;
  // what is still to come by the plan
  const { atMs } = await fleet.status();
  await pause(Math.max(0, calmMs + stormMs - atMs));
  await drained(fleet, backWithinMs);
  return { backMs, steadyMs };
}
