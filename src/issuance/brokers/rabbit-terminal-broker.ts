import { Authorization } from '#adapters/rabbitmq/authorization.ts';
import { AuthorizationListener } from '#adapters/rabbitmq/authorization-listener.ts';
import { RabbitIntake } from '#adapters/rabbitmq/rabbit-intake.ts';
import { rabbitConfig } from '#adapters/rabbitmq/rabbitmq-config.ts';
import { endSession } from '#adapters/rabbitmq/session-end.ts';
import { revocationListName } from '#adapters/x509/revocation-list-name.ts';
import { Fault, isFault } from '#core/fault.ts';
import type { Intake } from '#ports/intake.ts';
import { BrokerFolder } from './broker-folder.ts';
import { BrokerLists } from './broker-lists.ts';
import type { TerminalBroker, TerminalBrokerParts, TerminalsConfig } from './terminal-broker.ts';

type RabbitConfig = Extract<TerminalsConfig['broker'], { kind: 'rabbitmq' }>;

const loopback = '127.0.0.1';

/** A node of RabbitMQ beside this process, of a cluster that several processes share: it asks here who may do what. */
export class RabbitTerminalBroker implements TerminalBroker {
  readonly #parts: TerminalBrokerParts;
  readonly #broker: RabbitConfig;
  readonly #lists: BrokerLists;
  readonly #folder: BrokerFolder;
  readonly #revoked: BrokerFolder;
  #authorization: AuthorizationListener | undefined;
  /** whose sessions are to be ended */
  readonly #ended = new Set<string>();
  #ending: Promise<void> | undefined;

  constructor(parts: TerminalBrokerParts, broker: RabbitConfig) {
    this.#parts = parts;
    this.#broker = broker;
    this.#lists = new BrokerLists(parts);
    this.#folder = new BrokerFolder(broker);
    this.#revoked = new BrokerFolder({ directory: this.#folder.at('revoked') });
  }

  async start(): Promise<Intake> {
    const { authorizationPort, nodes } = this.#broker;
    const { shown, clock, log, admission } = this.#parts;
    const password = await this.#parts.password();
    const authorization = new Authorization({
      admits: (terminal) => admission.serves(terminal),
      password: Buffer.from(password),
    });
    const listener = new AuthorizationListener({ authorization, host: loopback, port: authorizationPort });
    await listener.start().catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') throw error;
      throw new Fault('argument-invalid', `port ${authorizationPort} of ${loopback} is in use`, {
        cause: error,
      });
    });
    this.#authorization = listener;
    return new RabbitIntake({
      nodes: nodes.map(({ host, amqpPort }) => ({ host, port: amqpPort })),
      credentials: shown,
      password,
      clock,
      failed: (error) => log.error({ err: error }, 'what terminals told was not stored'),
    });
  }

  addresses(): readonly { readonly host: string; readonly port: number }[] {
    return this.#broker.nodes.map(({ host, mqttPort }) => ({ host, port: mqttPort }));
  }

  /** A session is ended when its certificate is known to be revoked, whichever process did that. */
  recheck(): void {}

  async look(organization: string, changed: boolean): Promise<void> {
    for (const username of await this.#lists.look(organization, changed)) this.#ended.add(username);
  }

  async tell(): Promise<void> {
    const { certificates, privateKey, authorities } = this.#parts.credentials;
    const lists = await this.#lists.lists();
    await this.#revoked.write(
      Object.fromEntries(lists.map(({ authority, list }) => [revocationListName(authority), list])),
    );
    await this.#folder.write({
      'platform.pem': authorities,
      'server.pem': certificates,
      'server.key': privateKey,
      ...this.#config(),
    });
    // a node that does not answer must not keep others from being known as shut out
    if (this.#ended.size > 0 && this.#authorization) {
      this.#ending ??= this.#endSessions().finally(() => {
        this.#ending = undefined;
      });
    }
  }

  async stop(): Promise<void> {
    await this.#ending;
    await this.#authorization?.stop();
  }

  async #endSessions(): Promise<void> {
    const nodes = this.addresses();
    for (const username of this.#ended) {
      try {
        await endSession({ nodes, credentials: this.#parts.shown }, username);
        this.#ended.delete(username);
      } catch (error) {
        if (!isFault(error)) throw error;
        this.#parts.log.warn({ fault: error.code }, error.message);
        return;
      }
    }
  }

  #config(): Readonly<Record<string, string>> {
    const { listen, brokerPort } = this.#parts.config;
    const { amqpPort, authorizationPort, nodes } = this.#broker;
    return rabbitConfig({
      address: listen,
      mqttPort: brokerPort,
      amqpPort,
      certificates: this.#folder.at('server.pem'),
      privateKey: this.#folder.at('server.key'),
      authorities: this.#folder.at('platform.pem'),
      revocationLists: this.#folder.at('revoked'),
      definitions: this.#folder.at('definitions.json'),
      authorization: `http://${loopback}:${authorizationPort}`,
      nodes: nodes.length > 1 ? nodes.map(({ name }) => name) : [],
    });
  }
}
