import { parseArgs } from 'node:util';
import type { FleetMember } from '#simulators/fleet/bulk-enrolment.ts';
import { steadyPassages } from '#simulators/fleet/days.ts';
import { FleetProcess } from '#simulators/fleet/fleet-process.ts';
import type { FleetReport } from '#simulators/fleet/fleet-protocol.ts';
import { type Chart, writeReport } from './chart.ts';
import { percentile } from './figures.ts';
import {
  drained,
  latencySeries,
  milliseconds,
  mistakes,
  pause,
  storedPerSecond,
  throughput,
  warnOfLateness,
  within,
} from './fleet-figures.ts';
import { cores, FleetServer } from './fleet-server.ts';

/**
 * `node test/bench/limit.ts [--terminals N] [--seconds N] [--out FILE] [--short]`
 *
 * The limit test (限界試験): passages come faster and faster until the server does not keep up, which is the limit; then
 * other terminals bring three times as many as that. Fails where the server then stores less than 80 % of the best it
 * did, where what it has accepted takes longer and longer, where a connection is lost, or where an entry is.
 */
const { values } = parseArgs({
  options: {
    terminals: { type: 'string', default: '500' },
    seconds: { type: 'string', default: '30' },
    out: { type: 'string', default: 'dist/bench/limit.html' },
    short: { type: 'boolean', default: false },
  },
});
const terminals = values.short ? 60 : Number(values.terminals);
const stepMs = values.short ? 1_000 : 5_000;
const beyondMs = values.short ? 4_000 : 1_000 * Number(values.seconds);
const growth = values.short ? 2 : 1.3;
/** passages a second, two entries each */
const rates = Array.from({ length: values.short ? 5 : 14 }, (_, step) => Math.round(100 * growth ** step));
/** a step is kept up with where so much of it is stored in its own time, and p99 is not above */
const keptUp = { share: 0.95, p99Ms: 2_000 };
const wanted = { share: 0.8, accepted: 2 };
const drainWithinMs = 120_000;

const server = new FleetServer({ most: 2 * terminals });
try {
  await run();
} finally {
  await server.stop();
}

async function run(): Promise<void> {
  const members = await server.prepare(2 * terminals);
  await server.start();
  const first = await flooded(members.slice(0, terminals), { rates, stepMs });
  const steps = rates.map((rate, step) => {
    const [fromMs, toMs] = [step * stepMs, (step + 1) * stepMs];
    const stored = storedPerSecond(first.report, fromMs, toMs);
    const p99Ms = percentile(within(first.report, fromMs, toMs).latenciesMs, 0.99);
    return { rate, stored, p99Ms, kept: stored >= keptUp.share * 2 * rate && p99Ms <= keptUp.p99Ms };
  });
  for (const { rate, stored, p99Ms } of steps) {
    console.log(`${rate} passages/s: ${Math.round(stored)} entries/s stored, p99 ${Math.round(p99Ms)} ms`);
  }
  const best = Math.max(...steps.map(({ stored }) => stored));
  const limit = steps.findLast(({ kept }) => kept)?.rate ?? rates[0] ?? 0;
  const found = steps.some(({ kept }) => !kept);

  const second = await flooded(members.slice(terminals), { rates: [3 * limit], stepMs: beyondMs });
  const memory = (await server.figures()).memoryBytes;
  await server.end('SIGTERM');
  const wrong = await mistakes(server, second.report, first.entries + second.entries);
  // the first second fills what may wait
  const stored = storedPerSecond(second.report, 1_000, beyondMs);
  const halves = [within(second.report, 1_000, beyondMs / 2), within(second.report, beyondMs / 2, beyondMs)];
  const [early = Number.NaN, late = Number.NaN] = halves.map(({ acceptedMs }) =>
    percentile(acceptedMs, 0.99),
  );
  const lost = [...second.report.lost].map(([fault, times]) => `${times} × ${fault}`).join(', ');
  const facts: [string, string][] = [
    [
      'limit',
      `${limit} passages a second${found ? '' : ' or more: it was not reached'}, ${2 * limit} entries a second`,
    ],
    ['best', `${Math.round(best)} entries a second; 2016: 16,000 messages in 10 minutes, 27 a second`],
    [
      'at three times the limit',
      `${Math.round(stored)} entries a second, ${Math.round((100 * stored) / best)} % of the best`,
    ],
    [
      'what is accepted takes then',
      `${milliseconds(halves[1]?.acceptedMs ?? [])} (p99 ${Math.round(early)} ms in the first half)`,
    ],
    ['connections lost then', lost === '' ? 'none' : lost],
    ['stored of what had waited', `${(second.drainMs / 1_000).toFixed(1)} s after it was over`],
    ['memory of the server', `${Math.round(memory / 1e6)} MB`],
    ['lost, doubled or wrong', wrong.length === 0 ? 'none' : wrong.join('; ')],
  ];
  for (const [what, value] of facts) console.log(`${what}: ${value}`);
  warnOfLateness(first.report);
  warnOfLateness(second.report);
  writeReport(values.out, {
    title: 'Limit test',
    facts,
    charts: [...chartsOf('More and more', first.report), ...chartsOf('Three times the limit', second.report)],
  });
  console.log(`chart: ${values.out}`);
  if (wrong.length > 0 || lost !== '') process.exitCode = 1;
  if (values.short) return;
  if (stored < wanted.share * best) fail(`less than ${100 * wanted.share} % of the best is stored`);
  if (late > wanted.accepted * Math.max(early, 1_000)) fail('what is accepted takes longer and longer');
}

/** One fleet, from its connection until everything it brought is stored. */
async function flooded(
  members: readonly FleetMember[],
  { rates: each, stepMs: lengthMs }: { readonly rates: readonly number[]; readonly stepMs: number },
): Promise<{ readonly report: FleetReport; readonly entries: number; readonly drainMs: number }> {
  const fleet = new FleetProcess({ core: cores?.fleet });
  fleet.start();
  try {
    const passages = steadyPassages(each, { terminals: members.length, stepMs: lengthMs, seed: 1 });
    const { entries } = await fleet.prepare({
      broker: server.broker(),
      tasks: members.map((member, index) => ({ member, atMs: passages[index] ?? [] })),
      passagesInBatch: 1,
      seed: 1,
      disturbed: false,
    });
    await fleet.connect(5 * members.length);
    await fleet.begin();
    await pause(each.length * lengthMs);
    const began = performance.now();
    await drained(fleet, drainWithinMs);
    const drainMs = performance.now() - began;
    return { report: await fleet.report(), entries, drainMs };
  } finally {
    await fleet.stop();
  }
}

function chartsOf(title: string, report: FleetReport): readonly Chart[] {
  return [
    { title, x: 'seconds', y: 'entries a second', series: throughput(report) },
    {
      title: `${title}: from a passage until it is stored`,
      x: 'seconds',
      y: 'milliseconds',
      series: latencySeries(report),
    },
  ];
}

function fail(what: string): void {
  console.error(what);
  process.exitCode = 1;
}
