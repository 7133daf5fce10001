import 'reflect-metadata';
import { createPrivateKey } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { vi } from 'vitest';
import { TerminalBus } from '#adapters/mqtt/terminal-bus.ts';
import { SystemClock } from '#adapters/os/clock.ts';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { makeCertificateRequest, readCertificateRequest } from '#adapters/x509/certificate-request.ts';
import { certificatePem } from '#adapters/x509/pem.ts';
import { deviceKeyProof } from '#core/sync/enrolment.ts';
import { decodeAcknowledgement, type JournalAcknowledgement } from '#core/sync/journal-acknowledgement.ts';
import type { UpKind } from '#core/sync/topics.ts';
import { AuthorityFiles } from '#issuance/authority-files.ts';
import { openIssuance } from '#issuance/main.ts';
import { TerminalGateway } from '#issuance/terminal-gateway.ts';
import { Admission } from '#issuance/terminals/admission.ts';
import { TerminalCertificates } from '#issuance/terminals/terminal-certificates.ts';
import { TerminalRegister } from '#issuance/terminals/terminal-register.ts';
import { Terminals } from '#issuance/terminals/terminals.ts';
import { TestKey } from '../trust/test-key.ts';
import type { StartedRig } from './database-rigs.ts';
import type { JournalDevice } from './journal-device.ts';
import { commissioner } from './organization-bench.ts';

/** A server as the program builds it, with terminals of organization `city` that connect to it over TLS, and of `ward`. */
export async function startGateway(rig: StartedRig) {
  const folder = mkdtempSync(join(tmpdir(), 'kazasu-gateway-'));
  let database = '{ kind: sqlite }';
  if (rig.cluster) {
    const { access } = rig.cluster;
    const passwordFile = join(folder, 'password');
    writeFileSync(passwordFile, await access.password(), { mode: 0o600 });
    const { host, port, user } = access;
    database = `{ kind: postgres, host: ${host}, port: ${port}, database: ${access.database}, user: ${user}, passwordFile: ${passwordFile} }`;
  }
  const file = join(folder, 'issuance.yaml');
  writeFileSync(
    file,
    `formatVersion: 1
stateDirectory: ${join(folder, 'server')}
database: ${database}
terminals: { listen: 127.0.0.1, port: 0, brokerPort: 0 }
`,
  );
  const issuance = await openIssuance(file, () => undefined);
  for (const id of ['city', 'ward']) await issuance.organizations.create({ id, name: id }, commissioner);
  const services = await issuance.services.find('city');
  if (!services || !issuance.config.terminals) throw new Error('no organization');
  const logged: { [member: string]: unknown }[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => logged.push(JSON.parse(line)) });
  const gateway = new TerminalGateway({ issuance, config: issuance.config.terminals, log });
  await gateway.start();
  const served = logged.find(({ msg }) => msg === 'terminals are served') as
    | { readonly https: number; readonly brokers: readonly { readonly port: number }[] }
    | undefined;
  const port = served?.brokers[0]?.port;
  if (!served || port === undefined) throw new Error('no broker');
  const authorities = join(folder, 'server/authorities');
  const organizations = {
    city: await registrar(issuance, authorities, 'city'),
    ward: await registrar(issuance, authorities, 'ward'),
  };
  const connections: TerminalBus[] = [];
  return {
    services,
    logged,
    /** where it listens */
    ports: { https: served.https, broker: port },
    organizations,
    journal: await issuance.databases.journal(services.organization),
    /** takes notice of what `organizations` were told */
    refresh: () => gateway.refresh(),
    /** Enrols the device and connects it; what it publishes is what a terminal would. */
    connect: async (device: JournalDevice) => {
      const credentials = await organizations.city.enrol(device);
      await gateway.refresh();
      const acknowledged: JournalAcknowledgement[] = [];
      const identity = { organization: 'city', terminal: device.terminal };
      const bus = new TerminalBus({
        address: { host: 'localhost', port },
        credentials: async () => credentials,
        clock: new SystemClock(),
        random: () => 0,
        retry: { firstMs: 50, mostMs: 200 },
        identity,
        failed: (error) => {
          throw error;
        },
      });
      connections.push(bus);
      const connected = Promise.withResolvers<void>();
      await bus.start({
        received: async ({ kind, payload }) => {
          const read = kind === 'ack' ? decodeAcknowledgement(payload, identity) : undefined;
          if (read?.kind === 'accepted') acknowledged.push(read.value);
        },
        changed: ({ kind }) => kind === 'connected' && connected.resolve(),
      });
      await connected.promise;
      return {
        acknowledged,
        publish: (kind: UpKind, payload: Uint8Array) => bus.publish({ kind, payload }),
        /** Resolves to the first acknowledgement for which `fits` says so. */
        told: (fits: (acknowledgement: JournalAcknowledgement) => boolean) =>
          vi.waitFor(
            () => {
              const found = acknowledged.find(fits);
              if (!found) throw new Error(`told: ${JSON.stringify(acknowledged)}`);
              return found;
            },
            { timeout: 15_000, interval: 5 },
          ),
      };
    },
    stop: async () => {
      await Promise.all(connections.map((bus) => bus.stop()));
      await gateway.stop();
      await issuance.databases.stop();
      rmSync(folder, { recursive: true });
    },
  };
}

/** Gives devices of one organization their certificates, and takes them back. */
async function registrar(
  { organizations, databases, clock }: Awaited<ReturnType<typeof openIssuance>>,
  directory: string,
  organization: string,
) {
  const entropy = new SystemEntropy();
  const authorities = new AuthorityFiles({ directory, clock, entropy });
  const place = await organizations.find(organization);
  if (!place) throw new Error('no organization');
  const ledger = await organizations.ledger(place);
  const authority = await authorities.organization(organization);
  const certificates = new TerminalCertificates({
    ...{ organization, ledger, authority, clock, entropy },
    readRequest: readCertificateRequest,
  });
  const admission = new Admission({ shut: () => undefined });
  const terminals = new Terminals({
    organization,
    ledger,
    certificates,
    clock,
    admission,
    mayDate: () => true,
  });
  const register = new TerminalRegister({ ledger, clock, entropy });
  return {
    authority,
    /** its key, as whoever may read the files of the server has it */
    stolenKey: () => {
      const key = readFileSync(join(directory, `organization-${organization}.key`));
      return new TestKey(createPrivateKey({ key, format: 'der', type: 'pkcs8' }));
    },
    permissions: await databases.permissions(place),
    shut: (terminal: string) => register.shut(terminal, 'key-compromise', commissioner),
    enrol: async ({ terminal, key: deviceKey }: Pick<JournalDevice, 'terminal' | 'key'>) => {
      const key = new TestKey();
      const { secret } = await register.prepareEnrolment({ terminal, name: terminal }, commissioner);
      const request = await makeCertificateRequest(key);
      const proof = await deviceKey.sign(deviceKeyProof({ organization, terminal }, request));
      const made = await terminals.enrol(terminal, {
        secret,
        claim: { request, deviceKey: deviceKey.spki, proof },
      });
      if (made.kind !== 'certified') throw new Error(made.reason);
      return {
        certificates: certificatePem(...made.chain.slice(0, -1)),
        privateKey: key.pem(),
        authorities: certificatePem(...made.chain.slice(-1)),
      };
    },
  };
}
