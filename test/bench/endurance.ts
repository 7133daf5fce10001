import { parseArgs } from 'node:util';
import { steadyPassages } from '#simulators/fleet/days.ts';
import { FleetProcess } from '#simulators/fleet/fleet-process.ts';
import { seededRandom } from '#simulators/fleet/random.ts';
import { type Series, writeReport } from './chart.ts';
import { percentile } from './figures.ts';
import {
  drained,
  milliseconds,
  mistakes,
  pause,
  throughput,
  warnOfLateness,
  within,
} from './fleet-figures.ts';
import { cores, FleetServer } from './fleet-server.ts';

/**
 * `node test/bench/endurance.ts [--terminals N] [--rate PASSAGES/S] [--minutes N] [--seed N] [--out FILE] [--short]`
 *
 * The endurance test (連続試験): long at high load, while the network cuts, slows and swallows connections and the server
 * is killed now and then, as chance by the seed has it. Fails where an entry is lost, doubled or another one, where
 * somebody does not come back, or where the memory of the server grows from the second quarter to the last.
 */
const { values } = parseArgs({
  options: {
    terminals: { type: 'string', default: '500' },
    rate: { type: 'string', default: '200' },
    minutes: { type: 'string', default: '60' },
    seed: { type: 'string', default: '1' },
    out: { type: 'string', default: 'dist/bench/endurance.html' },
    short: { type: 'boolean', default: false },
  },
});
const terminals = values.short ? 40 : Number(values.terminals);
const rate = values.short ? 40 : Number(values.rate);
const seconds = values.short ? 8 : 60 * Number(values.minutes);
const everyMs = values.short ? 1_000 : 10_000;
/** one disturbance in so many is a killed server */
const kills = values.short ? 6 : 30;
const mostGrowth = 1.25;
const drainWithinMs = 180_000;
const random = seededRandom(Number(values.seed));

const server = new FleetServer({ most: terminals });
const fleet = new FleetProcess({ core: cores?.fleet });
const memory: (readonly [number, number])[] = [];
const connected: (readonly [number, number])[] = [];
const disturbances = new Map<string, number>();
try {
  await run();
} finally {
  await fleet.stop();
  await server.stop();
}

async function run(): Promise<void> {
  const members = await server.prepare(terminals);
  const passages = steadyPassages([rate], { terminals, stepMs: 1_000 * seconds, seed: Number(values.seed) });
  fleet.start();
  const { entries } = await fleet.prepare({
    broker: server.broker(),
    tasks: members.map((member, index) => ({ member, atMs: passages[index] ?? [] })),
    passagesInBatch: values.short ? 1 : 4,
    seed: Number(values.seed),
    disturbed: true,
  });
  await server.start();
  await fleet.connect(values.short ? 500 : 5 * terminals);
  await fleet.begin();
  for (let turn = 1; (await fleet.status()).atMs < 1_000 * seconds; turn += 1) {
    await pause(everyMs);
    await look();
    await disturb(turn);
  }
  // lines that are silent would be found so by their heartbeats, a minute later
  await fleet.network(false);
  await fleet.network(true);
  await drained(fleet, drainWithinMs);
  const back = await everybodyBack();
  await look();
  const report = await fleet.report();
  await server.end('SIGTERM');
  const wrong = await mistakes(server, report, entries);
  if (back < terminals) wrong.push(`${terminals - back} terminals are not back`);
  const bytes = memory.map(([, value]) => value);
  const quarter = Math.floor(bytes.length / 4);
  const growth = percentile(bytes.slice(-quarter), 0.5) / percentile(bytes.slice(quarter, 2 * quarter), 0.5);
  const facts: [string, string][] = [
    ['ran', `${seconds} s, ${terminals} terminals, ${rate} passages a second, seed ${values.seed}`],
    ['disturbances', [...disturbances].map(([what, times]) => `${times} × ${what}`).join(', ')],
    ['entries', `${entries}`],
    [
      'from a passage until it is known to be stored',
      milliseconds(within(report, 0, 1_000 * seconds).latenciesMs),
    ],
    [
      'memory of the server',
      `${Math.round(Math.max(...bytes))} MB at most, ×${growth.toFixed(2)} from the second quarter to the last`,
    ],
    ['lost, doubled or wrong', wrong.length === 0 ? 'none' : wrong.join('; ')],
  ];
  for (const [what, value] of facts) console.log(`${what}: ${value}`);
  warnOfLateness(report);
  writeReport(values.out, {
    title: 'Endurance test',
    facts,
    charts: [
      { title: 'Entries', x: 'seconds', y: 'entries a second', series: throughput(report) },
      { title: 'Memory of the server', x: 'seconds', y: 'MB', series: one('memory', memory) },
      { title: 'Terminals connected', x: 'seconds', y: 'terminals', series: one('connected', connected) },
    ],
  });
  console.log(`chart: ${values.out}`);
  if (wrong.length > 0) process.exitCode = 1;
  if (!values.short && growth > mostGrowth) {
    console.error('the memory of the server grows');
    process.exitCode = 1;
  }
}

/** How many are connected when all are, or have had the time. */
async function everybodyBack(): Promise<number> {
  for (const began = performance.now(); ; await pause(250)) {
    const { connected: back } = await fleet.status();
    if (back === terminals || performance.now() - began > drainWithinMs) return back;
  }
}

async function look(): Promise<void> {
  const status = await fleet.status();
  const second = status.atMs / 1_000;
  connected.push([second, status.connected]);
  memory.push([second, (await server.figures()).memoryBytes / 1e6]);
}

async function disturb(turn: number): Promise<void> {
  const what = turn % kills === kills - 1 ? 'server killed' : chosen();
  disturbances.set(what, (disturbances.get(what) ?? 0) + 1);
  switch (what) {
    case 'server killed':
      await server.end('SIGKILL');
      return server.start();
    case 'network away':
      await fleet.network(false);
      await pause(everyMs / 4);
      return fleet.network(true);
    case 'connections cut':
      return void (await fleet.cut(0.2));
    case 'slow lines':
      return void (await fleet.pass({ kind: 'slow', bytesPerSecond: 2_000 }, 0.1));
    case 'silent lines':
      return void (await fleet.pass({ kind: 'silent' }, 0.05));
    default:
      return void (await fleet.pass({ kind: 'clear' }, 0.5));
  }
}

function chosen(): string {
  const kinds = ['network away', 'connections cut', 'slow lines', 'silent lines', 'lines clear again'];
  return kinds[Math.floor(random() * kinds.length)] ?? 'lines clear again';
}

function one(name: string, points: Series['points']): readonly Series[] {
  return [{ name, points }];
}
