import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TerminalBus } from '#adapters/mqtt/terminal-bus.ts';
import { SystemClock } from '#adapters/os/clock.ts';
import { type Issuance, openIssuance } from '#issuance/main.ts';
import { enrolFleet, type FleetMember } from '#simulators/fleet/bulk-enrolment.ts';
import { FleetUpload } from '#simulators/fleet/fleet-upload.ts';
import { type PlannedBatch, planBatches } from '#simulators/fleet/journal-plan.ts';
import { DocumentedCluster } from './documented-cluster.ts';
import { ended, heard, makeRoot, runLine, writeTerminalConfig } from './documented-commands.ts';

const clock = new SystemClock();
const terminals = 6;
const passagesEveryMs = 100;
const lastsMs = 30_000;

let cluster: DocumentedCluster;
beforeAll(async () => {
  cluster = await DocumentedCluster.make();
}, 60_000);
afterAll(() => cluster.stop(), 60_000);

async function prepareFleet(): Promise<readonly FleetMember[]> {
  const issuance = await openIssuance(cluster.config('one'), () => undefined);
  const city = await issuance.organizations.find('city');
  if (!city) throw new Error('no organization');
  const members = await enrolFleet(issuance, city, terminals);
  await issuance.databases.stop();
  return members;
}

interface Run {
  readonly stored: { readonly terminal: number; readonly atMs: number }[];
  readonly wrong: string[];
  readonly batches: readonly (readonly PlannedBatch[])[];
  readonly finished: Promise<unknown>;
  stop(): Promise<void>;
}

/** Terminals that write entries all the time, each beginning at a node of its own. */
async function startFleet(members: readonly FleetMember[]): Promise<Run> {
  const ports = cluster.mqttPorts();
  const beganUs = { value: clock.monotonicUs() };
  const stored: Run['stored'] = [];
  const wrong: string[] = [];
  const buses: TerminalBus[] = [];
  const all: (readonly PlannedBatch[])[] = [];
  const finished: Promise<void>[] = [];
  const nowMs = () => (clock.monotonicUs() - beganUs.value) / 1_000;
  const uploads = members.map((member, i) => {
    const identity = { organization: member.organization, terminal: member.terminal };
    const incarnation = `run-${i}`;
    const batches = planBatches({
      ...{ identity, incarnation, deviceKey: member.deviceKey, devicePublicKey: member.devicePublicKey },
      beginsAtMs: clock.utcMs(),
      clock: { shows: (utcMs) => utcMs, state: 'trusted' },
      atMs: Array.from({ length: lastsMs / passagesEveryMs }, (_, n) => n * passagesEveryMs),
      passagesInBatch: 5,
    });
    all.push(batches);
    const end = Promise.withResolvers<void>();
    finished.push(end.promise);
    let count = 0;
    const bus = new TerminalBus({
      identity,
      address: (failures) => ({ host: 'localhost', port: ports[(i + failures) % ports.length] ?? 0 }),
      credentials: async () => ({
        certificates: member.certificates,
        privateKey: member.privateKey,
        authorities: member.authority,
      }),
      clock,
      random: Math.random,
      retry: { firstMs: 500, mostMs: 2_000 },
      failed: (error) => wrong.push(String(error)),
    });
    buses.push(bus);
    const upload = new FleetUpload({
      ...{ identity, incarnation, batches, clock, random: Math.random, nowMs },
      publish: (payload) => bus.publish({ kind: 'journal', payload }),
      stored: () => {
        stored.push({ terminal: i, atMs: nowMs() });
        count += 1;
        if (count === batches.length) end.resolve();
      },
      wrong: (what) => wrong.push(what),
    });
    return { bus, upload };
  });
  for (const { bus, upload } of uploads) {
    const connected = Promise.withResolvers<void>();
    await bus.start({
      received: async ({ kind, payload }) => {
        if (kind === 'ack') upload.acknowledged(payload);
      },
      changed: ({ kind }) => {
        if (kind === 'connected') {
          connected.resolve();
          upload.connected();
        } else upload.lost();
      },
    });
    await connected.promise;
  }
  beganUs.value = clock.monotonicUs();
  for (const { upload } of uploads) upload.begin();
  return {
    ...{ stored, wrong, batches: all, finished: Promise.all(finished) },
    stop: async () => {
      await Promise.all(buses.map((bus) => bus.stop()));
    },
  };
}

/** Every entry is stored once, in one chain without gaps, and nothing was found wrong. */
async function expectStored(run: Run): Promise<void> {
  const issuance: Issuance = await openIssuance(cluster.config('two'), () => undefined);
  const city = await issuance.organizations.find('city');
  if (!city) throw new Error('no organization');
  const journal = await issuance.databases.journal(city);
  const chains = await journal
    .selectFrom('chains')
    .selectAll()
    .where('terminal', 'like', 't-%')
    .orderBy('terminal')
    .execute();
  const counts = await journal
    .selectFrom('entries')
    .select(['chain', ({ fn }) => fn.countAll<number>().as('entries')])
    .groupBy('chain')
    .execute();
  const counted = new Map(counts.map(({ chain, entries }) => [chain, entries]));
  expect(chains).toHaveLength(terminals);
  for (const [i, chain] of chains.entries()) {
    const last = run.batches[i]?.at(-1);
    expect(chain).toMatchObject({ terminal: `t-${i}`, sequence: last?.last, signed_through: last?.last });
    expect(chain.hash.toUpperCase()).toBe(last?.hash);
    expect(counted.get(chain.chain)).toBe(last?.last);
  }
  expect(await journal.selectFrom('alarms').selectAll().execute()).toEqual([]);
  expect(await journal.selectFrom('evidence').selectAll().execute()).toEqual([]);
  await issuance.databases.stop();
}

const serverOf = (machine: 'one' | 'two') => {
  const server = cluster.servers.get(machine);
  if (!server) throw new Error(`no server runs on ${machine}`);
  return server;
};

it('three nodes and two servers as docs/brokers.md says, a terminal, and whoever is shut out', async () => {
  await cluster.runUpTo('scripts/kazasu issuance terminal prepare');
  expect([...cluster.servers.keys()]).toEqual(['one', 'two']);
  const at = (name: string) => join(cluster.folder, name);
  await makeRoot(cluster.folder, at('one/var/lib/kazasu-issuance/authorities/platform.pem'));
  await cluster.runUpTo('nothing');
  mkdirSync(at('device'));
  writeTerminalConfig(at('terminal.yaml'), at('device'));
  const config = `--config ${at('terminal.yaml')}`;
  await runLine(`scripts/kazasu terminal enrol ${config} --file ${at('enrolment.json')}`);
  const terminal = `scripts/kazasu terminal run ${config} &`;
  const sinceMs = Date.now();
  const device = await runLine(terminal, { ready: 'connected to the server' });
  await heard(cluster.config('two'), sinceMs);
  await ended(device.child, 'SIGKILL');

  // at one machine; the nodes of all look into lists that their own servers write
  await runLine(
    `scripts/kazasu issuance terminal shut lobby --organization city --config ${cluster.config('two')}`,
  );
  const again = await runLine(terminal, { ready: 'broker-refused' });
  await ended(again.child, 'SIGTERM');
}, 240_000);

it('two servers on one database and three nodes: one of each dies, and nothing is lost or doubled', async () => {
  const run = await startFleet(await prepareFleet());
  await expect.poll(() => run.stored.length, { timeout: 90_000 }).toBeGreaterThan(terminals * 8);
  const node = run.stored.at(-1)?.atMs ?? 0;
  await cluster.nodes.get('one')?.kill();
  await expect.poll(() => run.stored.length, { timeout: 90_000 }).toBeGreaterThan(terminals * 18);
  await ended(serverOf('one').child, 'SIGKILL');
  await run.finished;
  await run.stop();
  expect(run.wrong).toEqual([]);
  await expectStored(run);
  // a terminal that was at the node which died found another
  const afterwards = run.stored.filter(({ atMs }) => atMs > node);
  expect(new Set(afterwards.map(({ terminal }) => terminal)).size).toBe(terminals);
  // while they write: afterwards the last one may wait for an answer that died with the server, half a minute and more
  const moments = run.stored.map(({ atMs }) => atMs).filter((atMs) => atMs <= lastsMs);
  const gaps = moments.sort((a, b) => a - b).map((atMs, i) => atMs - (moments[i - 1] ?? 0));
  const longestMs = Math.round(Math.max(...gaps));
  process.stdout.write(`longest time in which nothing of any terminal was acknowledged: ${longestMs} ms\n`);
  expect(longestMs).toBeLessThan(20_000);
}, 300_000);
