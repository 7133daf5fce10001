import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { link, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Logger, pino } from 'pino';
import { SealedHeadsFile } from '#adapters/keyfile/sealed-heads.ts';
import { openDeviceKey } from '#adapters/keyfile/signing.ts';
import { SystemClock } from '#adapters/os/clock.ts';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { reportFailures } from '#adapters/os/failure-reports.ts';
import { logOutput } from '#adapters/os/log-output.ts';
import { OrganizationKeys } from '#adapters/pkcs11/organization-keys.ts';
import { makeFolder } from '#adapters/process/ownership.ts';
import { readSecretFile } from '#adapters/process/secret-file.ts';
import { Fault, isFault } from '#core/fault.ts';
import { unreadable } from '#core/file-fault.ts';
import type { Clock } from '#ports/clock.ts';
import type { SealedHeads } from '#ports/sealed-heads.ts';
import type { Signing } from '#ports/signing.ts';
import type { SigningKeys } from '#ports/signing-keys.ts';
import { OneTimePasswords } from './administrators/one-time-passwords.ts';
import { Passwords } from './administrators/passwords.ts';
import type { AdministratorAlarm } from './administrators/sign-in.ts';
import { backupAge } from './backup/last-backup.ts';
import { BulkWork } from './bulk-work.ts';
import { type IssuanceConfig, parseIssuanceConfig, tokenOf } from './config.ts';
import { databaseSource } from './database-source.ts';
import { HttpServer } from './http/server.ts';
import { Backlog } from './monitoring/backlog.ts';
import { LoopWatch } from './monitoring/loop-watch.ts';
import { Metrics } from './monitoring/metrics.ts';
import { MetricsListener } from './monitoring/metrics-listener.ts';
import { OrganizationFaults } from './organizations/organization-faults.ts';
import { Organizations } from './organizations/organizations.ts';
import { Repeated } from './repeated.ts';
import { Services } from './services.ts';
import { Databases } from './storage/databases.ts';
import { type Leases, leasesOf } from './storage/lease.ts';
import { TerminalGateway } from './terminal-gateway.ts';
import { TrustFiles } from './trust-files.ts';

/** how often it is looked what has become due, and what of the audit journals is not signed yet */
const lookEveryMs = 1_000;
const sealEveryMs = 60_000;

/** Everything of the server that works on its databases, for the server itself and for commands beside it. */
export interface Issuance {
  readonly config: IssuanceConfig;
  readonly clock: Clock;
  readonly databases: Databases;
  readonly organizations: Organizations;
  readonly services: Services;
  /** signs the audit journals */
  readonly signing: Signing;
  readonly leases: Leases;
  readonly sealedHeads: SealedHeads;
  /** undefined where all keys are files */
  readonly signingKeys: SigningKeys | undefined;
  readonly metrics: Metrics;
  /** Lets go of everything that was opened. */
  close(): Promise<void>;
}

/**
 * Opens what `configFile` describes. Rejects with a Fault `config-invalid` with every problem, `file-unreadable`,
 * `key-file-invalid` or `key-unavailable`. Databases open as they are asked for.
 */
export async function openIssuance(
  configFile: string,
  alarm: (alarm: AdministratorAlarm) => void,
): Promise<Issuance> {
  return openConfigured(await readIssuanceConfig(configFile), alarm);
}

/** Rejects with a Fault `config-invalid` with every problem, or `file-unreadable`. */
export async function readIssuanceConfig(configFile: string): Promise<IssuanceConfig> {
  const text = await readFile(configFile, 'utf8').catch((error: unknown) => {
    throw unreadable(configFile, error);
  });
  return parseIssuanceConfig(text, configFile);
}

/** As {@link openIssuance}, of a configuration that was read already. */
export async function openConfigured(
  config: IssuanceConfig,
  alarm: (alarm: AdministratorAlarm) => void,
): Promise<Issuance> {
  makeFolder(config.stateDirectory);
  const [clock, entropy] = [new SystemClock(), new SystemEntropy()];
  const metrics = new Metrics();
  const databases = new Databases({
    source: await databaseSource(config),
    took: (database, seconds) => metrics.databaseSeconds.observe({ database }, seconds),
  });
  const organizations = new Organizations({ databases, clock, entropy });
  const token = tokenOf(config);
  const signingKeys = token && new OrganizationKeys(token);
  const close = async () => {
    await signingKeys?.stop();
    await databases.stop();
  };
  const key = await sealingKey(join(config.stateDirectory, 'one-time-passwords.key'), entropy);
  const services = new Services({
    organizations,
    passwords: new Passwords({ entropy }),
    oneTimePasswords: new OneTimePasswords({ key, entropy }),
    clock,
    entropy,
    alarm,
    commandKeys: (organization) =>
      // what is wrong with it the gateway tells
      new TrustFiles({
        directory: join(config.stateDirectory, 'authorities'),
        organization,
        clock,
        failed: () => undefined,
        signingKeys,
      }).signing('command'),
    passkeys: config.http.passkeys && {
      place: config.http.passkeys,
      key: createHmac('sha256', key).update('passkeys').digest(),
    },
  });
  const signing = await openDeviceKey(config.stateDirectory);
  const leases = leasesOf({ shared: config.database.kind === 'postgres', clock, entropy });
  const sealedHeads = new SealedHeadsFile(join(config.stateDirectory, 'sealed-heads.json'));
  return {
    ...{ config, clock, databases, organizations, services, signing, leases, sealedHeads, metrics },
    ...{ signingKeys, close },
  };
}

/** For a program that runs the server as a part of itself. */
export interface IssuanceCourse {
  /** resolves with why the server is to end; SIGTERM and SIGINT where absent */
  readonly stopped?: Promise<string>;
  /** runs once the server serves */
  readonly ready?: (issuance: Issuance) => Promise<void>;
}

/** Runs the server that `configFile` describes until SIGTERM or SIGINT. */
export async function runIssuance(configFile: string, course: IssuanceCourse = {}): Promise<void> {
  let log: Logger | undefined;
  const issuance = await openIssuance(configFile, (alarm) => log?.error(alarm, 'alarm'));
  const { config, services, databases, organizations, metrics, clock } = issuance;
  log = pino({ level: config.log.level }, logOutput());
  reportFailures(config.stateDirectory, log);
  const stopped = course.stopped ?? stopSignal();
  const loop = new LoopWatch();
  const faults = new OrganizationFaults({
    tell: (organization, fault) => log.error({ organization, fault: fault.code }, fault.message),
  });
  // a database that must not be touched is told at the start
  await faults.each(await organizations.list(), ({ id }) => services.find(id));
  const bulk = new BulkWork({
    config: { database: config.database, stateDirectory: config.stateDirectory },
    lookEveryMs,
    onReport: ({ organization, fault, bug, sealed }) => {
      if (sealed !== undefined) void gateway?.changed(sealed);
      else log.error({ organization, fault: fault?.code ?? 'bug' }, fault?.message ?? bug);
    },
    onEnd: (error) => {
      throw error;
    },
  });
  const server = new HttpServer({
    services,
    log: log.child({ component: 'http' }),
    answered: (status, seconds) => metrics.answerSeconds.observe({ listener: 'people', status }, seconds),
    refused: (why) => metrics.refused.inc({ by: 'people', why }),
    version: version(),
    lists: { directory: join(config.stateDirectory, 'lists'), look: () => bulk.look() },
    checkHealth: async () => {
      await organizations.list();
    },
  });
  const repeated = (everyMs: number, action: () => Promise<void>): Repeated =>
    new Repeated({
      ...{ clock, everyMs, action },
      failed: (fault) => log.error({ fault: fault.code }, fault.message),
    });
  const sealing = repeated(sealEveryMs, () => sealAll(issuance, faults));
  const gateway =
    config.terminals &&
    new TerminalGateway({
      issuance,
      config: config.terminals,
      log: log.child({ component: 'terminals' }),
      isHeldUp: () => loop.isHeldUp(),
    });
  const refreshing = gateway && repeated(lookEveryMs, () => gateway.refresh());
  // a policy is built at once, and whoever is revoked is told at once
  organizations.onChange((organization) => {
    bulk.look();
    void gateway?.changed(organization);
  });
  const metricsListener = new MetricsListener({ metrics });
  const backlog = new Backlog({ organizations, databases, nowMs: () => performance.now() });
  metrics.watch('kazasu_backlog_entries', 'Journal entries that are still at terminals', () =>
    backlog.read(),
  );
  try {
    loop.start();
    if (config.metrics) {
      metrics.start();
      metrics.watch('kazasu_backup_age_seconds', 'Since the last backup was made', () =>
        backupAge(config.stateDirectory, clock),
      );
      log.info({ port: await metricsListener.start(config.metrics) }, 'metrics are served');
    }
    bulk.start();
    sealing.look();
    await gateway?.start();
    refreshing?.look();
    const url = await server.start(config.http as Parameters<HttpServer['start']>[0]);
    log.info({ url, database: config.database.kind }, 'ready');
    await course.ready?.(issuance);
    log.info({ signal: await stopped }, 'stopping');
  } finally {
    await server.stop();
    await metricsListener.stop();
    loop.stop();
    await refreshing?.stop();
    await gateway?.stop();
    await Promise.all([bulk.stop(), sealing.stop()]);
    await sealAll(issuance, faults);
    await issuance.close();
  }
}

/** Signs the heads of all audit journals. */
async function sealAll(issuance: Issuance, faults: OrganizationFaults): Promise<void> {
  const { organizations, services, sealedHeads: heads } = issuance;
  await faults.each([{ id: 'platform' }], async () =>
    (await organizations.platformAudit()).seal({ ...issuance, heads }),
  );
  await faults.each(await organizations.list(), async ({ id }) =>
    (await services.find(id))?.audit.seal({ ...issuance, heads }),
  );
}

/** The 32 bytes under which secrets of one-time passwords are sealed; made at first use, for its owner alone. */
async function sealingKey(file: string, entropy: SystemEntropy): Promise<Uint8Array> {
  const known = await readSecretFile(file).catch((error: unknown) => {
    if (isFault(error, 'file-unreadable')) return undefined;
    throw error;
  });
  if (known?.length === 32) return known;
  if (known)
    throw new Fault('key-file-invalid', `${file} does not hold 32 bytes; restore it from the backup`);
  const draft = `${file}.${process.pid}`;
  const handle = await open(draft, 'wx', 0o600).catch((error: unknown) => {
    throw unreadable(draft, error);
  });
  await handle.writeFile(entropy.bytes(32));
  await handle.sync();
  await handle.close();
  // of two processes that make one at once, the first counts
  await link(draft, file).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw unreadable(file, error);
  });
  await rm(draft);
  return readSecretFile(file);
}

/** Of this program, as package.json has it. */
export function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal));
  });
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { config: { type: 'string' } } });
  try {
    if (values.config === undefined) throw new Fault('argument-invalid', 'usage: main.ts --config FILE');
    await runIssuance(values.config);
  } catch (error) {
    process.stderr.write(`kazasu: ${isFault(error) ? `${error.code}: ${error.message}` : String(error)}\n`);
    process.exitCode = 1;
  }
}
