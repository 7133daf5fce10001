import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { EmbeddedBroker } from '#adapters/broker/embedded-broker.ts';
import { peerOf } from '#adapters/broker/peer.ts';
import { MqttIntake } from '#adapters/mqtt/mqtt-intake.ts';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { readCertificateRequest } from '#adapters/x509/certificate-request.ts';
import { Fault } from '#core/fault.ts';
import type { BusState } from '#ports/message-bus.ts';
import { AuthorityFiles, type ServerCredentials } from './authority-files.ts';
import type { IssuanceConfig } from './config.ts';
import { journalFeature } from './journal-feature.ts';
import type { Issuance } from './main.ts';
import { OrganizationFaults } from './organizations/organization-faults.ts';
import { Admission, type TerminalPeer } from './terminals/admission.ts';
import { Presence } from './terminals/presence.ts';
import { TerminalCertificates } from './terminals/terminal-certificates.ts';
import { type GatewayContext, type TerminalFeature, takeByKind } from './terminals/terminal-feature.ts';
import { TerminalListener } from './terminals/terminal-listener.ts';
import { addTerminalRoutes } from './terminals/terminal-routes.ts';
import { Terminals } from './terminals/terminals.ts';

export interface TerminalGatewayParts {
  readonly issuance: Issuance;
  readonly config: NonNullable<IssuanceConfig['terminals']>;
  readonly log: Logger;
}

const waitingBytes = 4 * 1_048_576;
const anyAddress = ['0.0.0.0', '::'];

/** What terminals reach: HTTPS, and the broker with what the server takes from it. */
export class TerminalGateway {
  readonly #parts: TerminalGatewayParts;
  readonly #authorities: AuthorityFiles;
  readonly #admission: Admission;
  readonly #features: readonly TerminalFeature[];
  readonly #faults: OrganizationFaults;
  readonly #terminals = new Map<string, Promise<Terminals | undefined>>();
  /** by organization: the change up to which its certificates are known */
  readonly #admitted = new Map<string, number>();
  #broker: EmbeddedBroker | undefined;
  #intake: MqttIntake | undefined;
  #listener: TerminalListener | undefined;

  constructor(parts: TerminalGatewayParts) {
    this.#parts = parts;
    const { organizations, clock, config } = parts.issuance;
    this.#authorities = new AuthorityFiles({
      directory: join(config.stateDirectory, 'authorities'),
      clock,
      entropy: new SystemEntropy(),
    });
    this.#admission = new Admission({ shut: () => this.#broker?.recheck() });
    this.#faults = new OrganizationFaults({
      tell: (organization, fault) =>
        parts.log.error({ organization, fault: fault.code }, `who is let in: ${fault.message}`),
    });
    const context: GatewayContext = {
      organizations,
      services: parts.issuance.services,
      clock,
      log: parts.log,
      publish: async (message) => (await this.#intake?.publish(message)) ?? 'away',
      admission: this.#admission,
      peer: peerOfRequest,
    };
    this.#features = terminalFeatures(context, config);
  }

  /** Resolves when terminals can connect. Rejects with faults of key files, and `argument-invalid` for a port in use. */
  async start(): Promise<void> {
    const { config, log } = this.#parts;
    const { hosts, listen: host, port } = config;
    const [name = 'localhost'] = hosts;
    const own = anyAddress.includes(host) ? 'localhost' : host;
    const credentials = await this.#authorities.server([
      name,
      ...new Set([...hosts.slice(1), own].filter((other) => other !== name)),
    ]);
    await this.refresh();
    const brokerPort = await this.#startBroker(credentials, own);
    const listener = new TerminalListener({
      credentials,
      log,
      connections: 2 * config.most,
      addRoutes: (app) => this.#addRoutes(app, [{ host: name, port: brokerPort }]),
    });
    this.#listener = listener;
    log.info(
      { https: await listener.start({ host, port }), broker: brokerPort, name },
      'terminals are served',
    );
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
      if (this.#admitted.get(organization.id) === change_number) return;
      await this.#admission.load(organization.id, ledger, clock.utcMs());
      this.#admitted.set(organization.id, change_number);
    });
  }

  async #startBroker(credentials: ServerCredentials, own: string): Promise<number> {
    const { config, log, issuance } = this.#parts;
    const broker = new EmbeddedBroker({
      host: config.listen,
      port: config.brokerPort,
      credentials,
      admits: (peer) => peer.kind === 'issuance' || this.#admission.admits(peer),
      told: (event) => log.warn(event, 'broker'),
      limits: { terminals: config.most, handshakes: 256, waitingBytes },
    });
    await broker.start().catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') throw error;
      throw new Fault('argument-invalid', `port ${config.brokerPort} of ${config.listen} is in use`, {
        cause: error,
      });
    });
    this.#broker = broker;
    const shown = await this.#authorities.issuance();
    const intake = new MqttIntake({
      address: { host: own, port: broker.port() },
      credentials: async () => shown,
      clock: issuance.clock,
      random: Math.random,
      failed: (error) => log.error({ err: error }, 'what terminals told was not stored'),
    });
    this.#intake = intake;
    await intake.start({
      consume: (batch) => takeByKind(this.#features, batch),
      changed: (state) => this.#changed(state),
    });
    return broker.port();
  }

  /** Everything that terminals ask for over HTTPS. */
  #addRoutes(app: FastifyInstance, brokers: readonly { host: string; port: number }[]): void {
    addTerminalRoutes(app, {
      terminals: (organization) => this.#terminalsOf(organization),
      peer: peerOfRequest,
      admission: this.#admission,
      brokers: [...brokers],
    });
    for (const feature of this.#features) feature.addRoutes?.(app);
  }

  #changed(state: BusState): void {
    const { log } = this.#parts;
    if (state.kind === 'connected') {
      log.info('the broker is reached');
      for (const feature of this.#features) feature.connected?.();
    } else if (state.fault) log.warn({ fault: state.fault.code }, state.fault.message);
  }

  #terminalsOf(id: string): Promise<Terminals | undefined> {
    let terminals = this.#terminals.get(id);
    if (!terminals) {
      terminals = this.#openTerminals(id);
      this.#terminals.set(id, terminals);
      const forget = () => this.#terminals.delete(id);
      terminals.then((found) => found ?? forget(), forget);
    }
    return terminals;
  }

  async #openTerminals(id: string): Promise<Terminals | undefined> {
    const { organizations, clock } = this.#parts.issuance;
    const organization = await organizations.find(id);
    if (!organization) return undefined;
    const ledger = await organizations.ledger(organization);
    const certificates = new TerminalCertificates({
      organization: id,
      ledger,
      authority: await this.#authorities.organization(id),
      readRequest: readCertificateRequest,
      clock,
      entropy: new SystemEntropy(),
    });
    return new Terminals({ organization: id, ledger, certificates, clock, admission: this.#admission });
  }
}

/** Everything that is done for terminals, besides letting them in. */
function terminalFeatures(context: GatewayContext, config: IssuanceConfig): readonly TerminalFeature[] {
  return [presence(context), journalFeature(context, config)];
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
