import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TerminalBus } from '#adapters/mqtt/terminal-bus.ts';
import { SystemClock } from '#adapters/os/clock.ts';
import { type Issuance, openIssuance } from '#issuance/main.ts';
import { enrolFleet, type FleetMember } from '#simulators/fleet/bulk-enrolment.ts';
import { FleetUpload } from '#simulators/fleet/fleet-upload.ts';
import { type PlannedBatch, planBatches } from '#simulators/fleet/journal-plan.ts';
import { Epmd, RabbitNode } from '../contracts/rabbitmq-rig.ts';
import { freePort } from '../free-port.ts';
import { type PostgresCluster, startPostgres } from '../issuance/postgres-cluster.ts';

const main = join(import.meta.dirname, '../../src/issuance/main.ts');
const cli = join(import.meta.dirname, '../../src/cli/main.ts');
const clock = new SystemClock();
const actor = { id: 'test', via: 'command-line' } as const;
const terminals = 6;
const passagesEveryMs = 100;
const lastsMs = 30_000;

interface Ports {
  readonly https: number;
  readonly mqtt: number;
  readonly amqp: number;
  readonly authorization: number;
}

let folder = '';
let cluster: PostgresCluster;
let epmd: Epmd;
let ports: Ports[] = [];
const nodes: RabbitNode[] = [];
const servers: ChildProcess[] = [];
const at = (name: string): string => join(folder, name);
const configOf = (i: number): string => at(`issuance-${i}.yaml`);

/** The third node has no server of its own beside it: it asks that of the second. */
function writeConfig(i: number): void {
  const own = ports[i];
  if (!own) throw new Error('no ports');
  const list = ports.map(
    ({ mqtt, amqp }, n) => `{ name: n${n}@localhost, host: localhost, mqttPort: ${mqtt}, amqpPort: ${amqp} }`,
  );
  writeFileSync(
    configOf(i),
    `formatVersion: 1
stateDirectory: ${at('state')}
database: { kind: postgres, host: ${cluster.access.host}, passwordFile: database.password, connections: 2 }
http: { port: 0 }
terminals:
  listen: 127.0.0.1
  port: ${own.https}
  brokerPort: ${own.mqtt}
  broker:
    kind: rabbitmq
    directory: ${at(`node-${i}`)}
    amqpPort: ${own.amqp}
    authorizationPort: ${(ports[Math.min(i, 1)] ?? own).authorization}
    nodes: [${list.join(', ')}]
log: { level: info }
`,
  );
}

async function done(...words: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, [cli, ...words], { stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = await once(child, 'exit');
  expect(code).toBe(0);
}

/** Resolves when it serves terminals through RabbitMQ. */
async function startServer(i: number): Promise<ChildProcess> {
  const child = spawn(process.execPath, [main, '--config', configOf(i)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  servers[i] = child;
  const reached = Promise.withResolvers<void>();
  const said: string[] = [];
  createInterface(child.stdout).on('line', (line) => {
    said.push(line);
    if (line.includes('the broker is reached')) reached.resolve();
  });
  child.once('exit', () => reached.reject(new Error(said.join('\n'))));
  await reached.promise;
  return child;
}

async function killed(child: ChildProcess | undefined): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const over = once(child, 'exit');
  child.kill('SIGKILL');
  await over;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kazasu-cluster-'));
  cluster = await startPostgres();
  writeFileSync(at('database.password'), await cluster.access.password(), { mode: 0o600 });
  ports = await Promise.all(
    [0, 1, 2].map(async () => ({
      https: await freePort(),
      mqtt: await freePort(),
      amqp: await freePort(),
      authorization: await freePort(),
    })),
  );
  for (const i of ports.keys()) {
    mkdirSync(at(`node-${i}`));
    writeConfig(i);
  }
  epmd = await Epmd.start();
}, 60_000);
afterAll(async () => {
  await Promise.all([...servers.map(killed), ...nodes.map((node) => node.kill())]);
  await epmd.stop();
  await cluster.stop();
  rmSync(folder, { recursive: true });
}, 60_000);

async function prepareFleet(): Promise<readonly FleetMember[]> {
  const issuance = await openIssuance(configOf(0), () => undefined);
  const city = await issuance.organizations.create({ id: 'city', name: '市役所' }, actor);
  const members = await enrolFleet(issuance, city, terminals);
  await issuance.databases.stop();
  return members;
}

async function startNodes(): Promise<void> {
  const cookie = randomBytes(16).toString('hex');
  for (const i of ports.keys()) {
    await done('issuance', 'broker', 'config', '--config', configOf(i));
    nodes[i] = new RabbitNode({
      folder: at(`node-${i}`),
      name: `n${i}@localhost`,
      epmdPort: epmd.port,
      cookie,
    });
  }
  // the first one makes the cluster, the others join it
  await nodes[0]?.start();
  await Promise.all([nodes[1]?.start(), nodes[2]?.start()]);
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
      address: (failures) => ({ host: 'localhost', port: ports[(i + failures) % ports.length]?.mqtt ?? 0 }),
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
  const issuance: Issuance = await openIssuance(configOf(1), () => undefined);
  const city = await issuance.organizations.find('city');
  if (!city) throw new Error('no organization');
  const journal = await issuance.databases.journal(city);
  const chains = await journal.selectFrom('chains').selectAll().orderBy('terminal').execute();
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

it('two servers on one database and three nodes: one of each dies, and nothing is lost or doubled', async () => {
  const members = await prepareFleet();
  await startNodes();
  await Promise.all([startServer(0), startServer(1)]);
  const run = await startFleet(members);
  await expect.poll(() => run.stored.length, { timeout: 90_000 }).toBeGreaterThan(terminals * 8);
  const node = run.stored.at(-1)?.atMs ?? 0;
  await nodes[0]?.kill();
  await expect.poll(() => run.stored.length, { timeout: 90_000 }).toBeGreaterThan(terminals * 18);
  await killed(servers[0]);
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
