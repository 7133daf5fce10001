import type { TLSSocket } from 'node:tls';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { peerOf } from '#adapters/broker/peer.ts';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { readCertificateRequest } from '#adapters/x509/certificate-request.ts';
import type { Intake, OutgoingMessage } from '#ports/intake.ts';
import type { BusState, PublishOutcome } from '#ports/message-bus.ts';
import { type AuthorityFiles, authorityFilesOf, type ServerCredentials } from './authority-files.ts';
import { EmbeddedTerminalBroker } from './brokers/embedded-terminal-broker.ts';
import { MosquittoTerminalBroker } from './brokers/mosquitto-terminal-broker.ts';
import { RabbitTerminalBroker } from './brokers/rabbit-terminal-broker.ts';
import type { TerminalBroker, TerminalBrokerParts } from './brokers/terminal-broker.ts';
import { commandFeature } from './commands/command-feature.ts';
import type { IssuanceConfig } from './config.ts';
import { distribution } from './distribution/distribution-feature.ts';
import { groupFeature } from './groups/group-feature.ts';
import { journalFeature } from './journal-feature.ts';
import type { Issuance } from './main.ts';
import { Opened } from './opened.ts';
import { OrganizationFaults } from './organizations/organization-faults.ts';
import { Admission, type TerminalPeer } from './terminals/admission.ts';
import { ClockWitnesses } from './terminals/clock-witnesses.ts';
import { Presence } from './terminals/presence.ts';
import { TerminalCertificates } from './terminals/terminal-certificates.ts';
import { type GatewayContext, type TerminalFeature, takeByKind } from './terminals/terminal-feature.ts';
import { TerminalListener } from './terminals/terminal-listener.ts';
import { addTerminalRoutes } from './terminals/terminal-routes.ts';
import { Terminals } from './terminals/terminals.ts';
import { openTrust } from './trust-files.ts';

export interface TerminalGatewayParts {
  readonly issuance: Issuance;
  readonly config: NonNullable<IssuanceConfig['terminals']>;
  readonly log: Logger;
  /** Whether this process is held up: what can wait waits then. */
  readonly isHeldUp?: () => boolean;
}

const anyAddress = ['0.0.0.0', '::'];

/** What terminals reach: HTTPS, and the broker with what the server takes from it. */
export class TerminalGateway {
  readonly #parts: TerminalGatewayParts;
  readonly #authorities: AuthorityFiles;
  readonly #admission: Admission;
  readonly #witnesses: ClockWitnesses;
  readonly #features: readonly TerminalFeature[];
  readonly #faults: OrganizationFaults;
  readonly #terminals: Opened<Terminals | undefined>;
  /** by organization: the change up to which its certificates are known */
  readonly #admitted = new Map<string, number>();
  #broker: TerminalBroker | undefined;
  #intake: Intake | undefined;
  #reached = false;
  #listener: TerminalListener | undefined;

  constructor(parts: TerminalGatewayParts) {
    this.#parts = parts;
    const { organizations, clock } = parts.issuance;
    this.#authorities = authorityFilesOf(parts.issuance);
    this.#admission = new Admission({ shut: () => this.#broker?.recheck() });
    this.#witnesses = new ClockWitnesses({ clock });
    this.#faults = new OrganizationFaults({
      tell: (organization, fault) =>
        parts.log.error({ organization, fault: fault.code }, `who is let in: ${fault.message}`),
    });
    this.#terminals = new Opened((id) => this.#openTerminals(id));
    const trust = new Opened((id) =>
      openTrust(parts.issuance, id, ({ code, message }) =>
        parts.log.error({ organization: id, fault: code }, message),
      ),
    );
    const context: GatewayContext = {
      organizations,
      services: parts.issuance.services,
      clock,
      log: parts.log,
      publish: (message) => this.#publish(message),
      admission: this.#admission,
      peer: peerOfRequest,
      trust: (organization) => trust.of(organization),
      leases: parts.issuance.leases,
      witnesses: this.#witnesses,
      metrics: parts.issuance.metrics,
    };
    this.#features = terminalFeatures(context, parts.issuance.config);
  }

  /** Resolves when terminals can connect. Rejects with faults of key files, and `argument-invalid` for a port in use. */
  async start(): Promise<void> {
    const { config, log, issuance } = this.#parts;
    const { metrics } = issuance;
    const { listen: host, port } = config;
    const { broker, credentials } = await this.prepare();
    await this.#startIntake(broker);
    const listener = new TerminalListener({
      credentials,
      log,
      connections: 2 * config.most,
      peer: (request) => peerOfRequest(request)?.serialNumber ?? request.ip,
      isHeldUp: () => this.#parts.isHeldUp?.() === true,
      refused: (why) => metrics.refused.inc({ by: 'terminals', why }),
      answered: (status, seconds) =>
        metrics.answerSeconds.observe({ listener: 'terminals', status }, seconds),
      addRoutes: (app) => this.#addRoutes(app, broker.addresses()),
    });
    this.#listener = listener;
    log.info(
      { https: await listener.start({ host, port }), brokers: broker.addresses() },
      'terminals are served',
    );
  }

  /** Brings up to date what a broker beside this process reads. Rejects with faults of key files and of files. */
  async prepare(): Promise<{ readonly broker: TerminalBroker; readonly credentials: ServerCredentials }> {
    const { config, log, issuance } = this.#parts;
    const [name = 'localhost', ...others] = config.hosts;
    const own = anyAddress.includes(config.listen) ? 'localhost' : config.listen;
    const credentials = await this.#authorities.server([
      name,
      ...new Set([...others, own].filter((other) => other !== name)),
    ]);
    const broker = terminalBroker({
      config,
      credentials,
      shown: await this.#authorities.issuance(),
      password: () => this.#authorities.brokerPassword(),
      own,
      admission: this.#admission,
      certificates: (id) => this.#certificatesOf(id),
      services: () => this.#authorities.services(),
      clock: issuance.clock,
      log,
      metrics: issuance.metrics,
    });
    this.#broker = broker;
    await this.refresh();
    return { broker, credentials };
  }

  /** Takes no more, and lets what was taken be stored. */
  async stop(): Promise<void> {
    await this.#listener?.stop();
    await this.#intake?.stop();
    for (const feature of this.#features) await feature.stop?.();
    await this.#broker?.stop();
  }

  /**
   * Looks which certificates are good, also where another process has changed that; to be called again and again. A
   * fault of one organization leaves its certificates as they were known. Rejects with faults of the platform's database.
   */
  async refresh(): Promise<void> {
    const { organizations, clock } = this.#parts.issuance;
    await this.#faults.each(await organizations.list(), async (organization) => {
      const ledger = await organizations.ledger(organization);
      const { change_number } = await ledger.db
        .selectFrom('server_state')
        .select('change_number')
        .executeTakeFirstOrThrow();
      const changed = this.#admitted.get(organization.id) !== change_number;
      if (changed) await this.#admission.load(organization.id, ledger, clock.utcMs());
      await this.#broker?.look(organization.id, changed);
      this.#admitted.set(organization.id, change_number);
      if (changed) await this.changed(organization.id);
    });
    await this.#broker?.tell();
  }

  /** Something of an organization has changed: every feature is told. A fault is logged, and the next change tells it again. */
  async changed(id: string): Promise<void> {
    await this.#faults.each([{ id }], async () => {
      for (const feature of this.#features) await feature.changed?.(id);
    });
  }

  async #publish(message: OutgoingMessage): Promise<PublishOutcome> {
    const outcome = (await this.#intake?.publish(message)) ?? 'away';
    this.#parts.issuance.metrics.messagesSent.inc({ kind: message.kind, outcome });
    return outcome;
  }

  async #startIntake(broker: TerminalBroker): Promise<void> {
    const { metrics } = this.#parts.issuance;
    const intake = await broker.start();
    this.#intake = intake;
    metrics.watch('kazasu_broker_reached', 'Whether the broker is reached, 0 or 1', () =>
      Number(this.#reached),
    );
    await intake.start({
      consume: (batch) => {
        for (const { kind } of batch) metrics.messagesTaken.inc({ kind });
        return takeByKind(this.#features, batch);
      },
      changed: (state) => this.#broughtTo(state),
    });
  }

  /** Everything that terminals ask for over HTTPS. */
  #addRoutes(app: FastifyInstance, brokers: readonly { host: string; port: number }[]): void {
    addTerminalRoutes(app, {
      terminals: (organization) => this.#terminals.of(organization),
      peer: peerOfRequest,
      admission: this.#admission,
      brokers: [...brokers],
    });
    for (const feature of this.#features) feature.addRoutes?.(app);
  }

  #broughtTo(state: BusState): void {
    const { log } = this.#parts;
    this.#reached = state.kind === 'connected';
    if (state.kind === 'connected') {
      log.info('the broker is reached');
      for (const feature of this.#features) feature.connected?.();
    } else if (state.fault) log.warn({ fault: state.fault.code }, state.fault.message);
  }

  async #openTerminals(id: string): Promise<Terminals | undefined> {
    const { organizations, clock } = this.#parts.issuance;
    const organization = await organizations.find(id);
    if (!organization) return undefined;
    const ledger = await organizations.ledger(organization);
    const certificates = await this.#certificatesOf(id);
    return (
      certificates &&
      new Terminals({
        organization: id,
        ledger,
        certificates,
        clock,
        admission: this.#admission,
        mayDate: () => !this.#witnesses.areAgainst(id),
      })
    );
  }

  #certificatesOf(id: string): Promise<TerminalCertificates | undefined> {
    return terminalCertificates(this.#parts.issuance, this.#authorities, id);
  }
}

/** undefined where there is no such organization. Rejects with faults of key files. */
export async function terminalCertificates(
  { organizations, clock }: Pick<Issuance, 'organizations' | 'clock'>,
  authorities: AuthorityFiles,
  id: string,
): Promise<TerminalCertificates | undefined> {
  const organization = await organizations.find(id);
  if (!organization) return undefined;
  return new TerminalCertificates({
    organization: id,
    ledger: await organizations.ledger(organization),
    authority: await authorities.organization(id),
    readRequest: readCertificateRequest,
    clock,
    entropy: new SystemEntropy(),
  });
}

function terminalBroker(parts: TerminalBrokerParts): TerminalBroker {
  const { broker } = parts.config;
  if (broker.kind === 'mosquitto') return new MosquittoTerminalBroker(parts, broker);
  if (broker.kind === 'rabbitmq') return new RabbitTerminalBroker(parts, broker);
  return new EmbeddedTerminalBroker(parts);
}

/** Everything that is done for terminals, besides letting them in. */
function terminalFeatures(context: GatewayContext, config: IssuanceConfig): readonly TerminalFeature[] {
  return [
    presence(context),
    distribution(context),
    journalFeature(context, config),
    commandFeature(context, new SystemEntropy()),
    groupFeature(context, new SystemEntropy()),
  ];
}

function presence({ organizations, clock, log }: GatewayContext): TerminalFeature {
  const kept = new Presence({
    ledger: async (id) => {
      const organization = await organizations.find(id);
      return organization && organizations.ledger(organization);
    },
    clock,
    log,
  });
  return { takes: { state: (messages) => kept.take(messages) } };
}

function peerOfRequest(request: FastifyRequest): TerminalPeer | undefined {
  const peer = peerOf(request.raw.socket as TLSSocket);
  return peer?.kind === 'terminal' ? peer : undefined;
}
