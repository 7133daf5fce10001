import type { Issuance } from '#issuance/main.ts';
import { fleetPrefix } from '#simulators/fleet/bulk-enrolment.ts';
import type { FleetProcess } from '#simulators/fleet/fleet-process.ts';
import type { FleetReport, FleetStatus } from '#simulators/fleet/fleet-protocol.ts';
import type { Series } from './chart.ts';
import { percentile } from './figures.ts';
import type { FleetServer } from './fleet-server.ts';

/** a generator that is later than this measures itself as well */
const lateEnoughMs = 20;

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Batches that were due within a part of the run, with what became of them. */
export function within(report: FleetReport, fromMs: number, toMs: number) {
  const rows = [...report.dueMs.keys()].filter(
    (row) => at(report.dueMs, row) >= fromMs && at(report.dueMs, row) < toMs,
  );
  return {
    /** from the moment in which something was meant to be sent until it was known to be stored */
    latenciesMs: rows.map((row) => at(report.storedMs, row) - at(report.dueMs, row)),
    /** from when it was sent, which is when the server had given leave */
    acceptedMs: rows.map((row) => at(report.storedMs, row) - at(report.sentMs, row)),
  };
}

/** Entries stored within a part of the run, a second. */
export function storedPerSecond(report: FleetReport, fromMs: number, toMs: number): number {
  let entries = 0;
  for (const [row, storedMs] of report.storedMs.entries()) {
    if (storedMs >= fromMs && storedMs < toMs) entries += at(report.entries, row);
  }
  return (1_000 * entries) / (toMs - fromMs);
}

/** Entries by the second in which they were due, and in which they were stored. */
export function throughput(report: FleetReport): readonly Series[] {
  return [
    { name: 'due, entries/s', points: perSecond(report.dueMs, report) },
    { name: 'stored, entries/s', points: perSecond(report.storedMs, report) },
  ];
}

/** By the second in which a batch was due: how long until half of them, and all but one in a hundred, were stored. */
export function latencySeries(report: FleetReport): readonly Series[] {
  const seconds = new Map<number, number[]>();
  for (const [row, dueMs] of report.dueMs.entries()) {
    const second = Math.floor(dueMs / 1_000);
    const own = seconds.get(second) ?? [];
    own.push(at(report.storedMs, row) - dueMs);
    seconds.set(second, own);
  }
  const sorted = [...seconds].sort(([a], [b]) => a - b);
  return [0.5, 0.99].map((p) => ({
    name: `p${100 * p}, ms`,
    points: sorted.map(([second, samples]) => [second, percentile(samples, p)] as const),
  }));
}

export function milliseconds(samples: readonly number[]): string {
  const [p50, p99, worst] = [0.5, 0.99, 1].map((p) => Math.round(percentile(samples, p)));
  return `p50 ${p50} ms, p99 ${p99} ms, worst ${worst} ms`;
}

/** Resolves when everything that is due is stored, or `withinMs` are over; to what was seen on the way, once a second. */
export async function drained(fleet: FleetProcess, withinMs: number): Promise<readonly FleetStatus[]> {
  const seen: FleetStatus[] = [];
  for (const began = performance.now(); ; await pause(250)) {
    const status = await fleet.status();
    seen.push(status);
    if (status.stored >= status.due || performance.now() - began > withinMs) return seen;
  }
}

/** Everything that must be so after a run, whatever was done to it; empty where it is. */
export async function mistakes(server: FleetServer, report: FleetReport, entries: number): Promise<string[]> {
  const issuance = await server.open();
  try {
    return [
      ...report.wrong,
      ...(report.missing > 0 ? [`${report.missing} batches are not stored`] : []),
      ...(await storedWrong(issuance, entries)),
    ];
  } finally {
    await issuance.databases.stop();
  }
}

/** Whether the generator kept up with itself. */
export function warnOfLateness({ lateMs }: FleetReport): void {
  if (lateMs > lateEnoughMs) console.log(`the generator itself was late by ${Math.round(lateMs)} ms (p99)`);
}

async function storedWrong(
  { databases, organizations }: Issuance,
  entries: number,
): Promise<readonly string[]> {
  const city = await organizations.find('city');
  if (!city) return ['the organization is gone'];
  const db = await databases.journal(city);
  const ofFleet = db.selectFrom('chains').where('terminal', 'like', `${fleetPrefix}%`);
  const count = await db
    .selectFrom('entries')
    .where('chain', 'in', ofFleet.select('chain'))
    .select(({ fn }) => fn.countAll().as('rows'))
    .executeTakeFirstOrThrow();
  const chains = await ofFleet
    .select(({ fn }) => fn.sum<number>('sequence').as('heads'))
    .executeTakeFirstOrThrow();
  const alarms = await db.selectFrom('alarms').select(['kind', 'chain', 'from_sequence']).limit(10).execute();
  const [rows, heads] = [Number(count.rows), Number(chains.heads)];
  return [
    ...(rows === entries && heads === entries
      ? []
      : [`${entries} entries were sent, ${rows} are stored, chains end at ${heads} together`]),
    ...alarms.map((alarm) => `alarm ${JSON.stringify(alarm)}`),
  ];
}

function perSecond(moments: Float64Array, { entries }: FleetReport): readonly (readonly [number, number])[] {
  const seconds = new Map<number, number>();
  for (const [row, ms] of moments.entries()) {
    const second = Math.floor(ms / 1_000);
    seconds.set(second, (seconds.get(second) ?? 0) + at(entries, row));
  }
  return [...seconds].sort(([a], [b]) => a - b);
}

function at(column: Float64Array | Uint32Array, row: number): number {
  return column[row] ?? Number.NaN;
}
