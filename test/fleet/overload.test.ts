import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { SystemClock } from '#adapters/os/clock.ts';
import type { FleetMember } from '#simulators/fleet/bulk-enrolment.ts';
import { FleetRun } from '#simulators/fleet/fleet-run.ts';
import { FleetServer } from '../bench/fleet-server.ts';

const most = 12;
const patient = { timeout: 20_000, interval: 50 };

/** The program as it is started, and more terminals than it is to serve. */
describe('a server with more terminals than it may serve', () => {
  const server = new FleetServer({ most });
  const runs: FleetRun[] = [];
  let members: readonly FleetMember[] = [];
  beforeAll(async () => {
    members = await server.prepare(most + 8);
    await server.start();
  });
  afterAll(async () => {
    await Promise.all(runs.map((run) => run.stop()));
    await server.stop();
  });

  async function fleetOf(some: readonly FleetMember[]): Promise<FleetRun> {
    const atMs = Array.from({ length: 10 }, (_, at) => 50 * at);
    const run = new FleetRun({
      plan: {
        broker: server.broker(),
        tasks: some.map((member) => ({ member, atMs })),
        passagesInBatch: 1,
        seed: 1,
        disturbed: false,
      },
      clock: new SystemClock(),
    });
    runs.push(run);
    await run.prepare();
    return run;
  }

  it('serves as many as it may to the end, and tells the others to come later', async () => {
    const first = await fleetOf(members.slice(0, most));
    await first.connect(200);
    const further = await fleetOf(members.slice(most));
    void further.connect(0);
    await vi.waitFor(() => expect(further.report().lost.get('broker-unreachable')).toBe(8), patient);
    first.begin();
    await vi.waitFor(() => expect(first.status()).toMatchObject({ due: 120, stored: 120 }), patient);
    expect([first.report().lost.size, first.report().wrong]).toEqual([0, []]);
    const { metrics } = await server.figures();
    expect(metrics.get('kazasu_terminals_connected')).toBe(most);
    expect(metrics.get('kazasu_refused_total{by="broker",why="terminals-full"}')).toBe(8);
    expect(metrics.get('kazasu_journal_entries_total{organization="city"}')).toBe(240);
    expect(metrics.get('kazasu_broker_reached')).toBe(1);
    expect(metrics.get('kazasu_messages_sent_total{kind="ack",outcome="taken"}')).toBeGreaterThan(0);
  });

  it('says by metrics how it is', async () => {
    const { metrics } = await server.figures();
    const names = new Set([...metrics.keys()].map((name) => name.replace(/\{.*/, '')));
    for (const name of [
      'kazasu_connections_waiting',
      'kazasu_messages_taken_total',
      'kazasu_journal_queue_ratio',
      'kazasu_journal_commit_seconds_count',
      'kazasu_backlog_entries',
      'kazasu_answer_seconds_count',
      'kazasu_database_seconds_count',
      'nodejs_eventloop_lag_p99_seconds',
    ]) {
      expect(names).toContain(name);
    }
  });
});
