import { readFile } from 'node:fs/promises';
import { mosquittoAccess, mosquittoConfig } from '#adapters/broker/mosquitto-config.ts';
import { MqttIntake } from '#adapters/mqtt/mqtt-intake.ts';
import type { Intake } from '#ports/intake.ts';
import { BrokerFolder } from './broker-folder.ts';
import { BrokerLists } from './broker-lists.ts';
import type { TerminalBroker, TerminalBrokerParts, TerminalsConfig } from './terminal-broker.ts';

type MosquittoConfig = Extract<TerminalsConfig['broker'], { kind: 'mosquitto' }>;

/** A mosquitto beside this process, which reads the files that are kept current here. */
export class MosquittoTerminalBroker implements TerminalBroker {
  readonly #parts: TerminalBrokerParts;
  readonly #broker: MosquittoConfig;
  readonly #lists: BrokerLists;
  readonly #folder: BrokerFolder;

  constructor(parts: TerminalBrokerParts, broker: MosquittoConfig) {
    this.#parts = parts;
    this.#broker = broker;
    this.#lists = new BrokerLists(parts);
    this.#folder = new BrokerFolder(broker);
  }

  async start(): Promise<Intake> {
    const { shown, own, clock, log, config } = this.#parts;
    return new MqttIntake({
      address: { host: own, port: config.brokerPort },
      credentials: async () => shown,
      clock,
      random: Math.random,
      failed: (error) => log.error({ err: error }, 'what terminals told was not stored'),
    });
  }

  addresses(): readonly { readonly host: string; readonly port: number }[] {
    const { hosts, brokerPort } = this.#parts.config;
    return [{ host: hosts[0] ?? 'localhost', port: brokerPort }];
  }

  /** Its lists and names shut out say so, as soon as they are written. */
  recheck(): void {}

  async look(organization: string, changed: boolean): Promise<void> {
    await this.#lists.look(organization, changed);
  }

  async tell(): Promise<void> {
    const { certificates, privateKey, authorities } = this.#parts.credentials;
    const lists = await this.#lists.lists();
    const changed = await this.#folder.write({
      'platform.pem': authorities,
      'server.pem': certificates,
      'server.key': privateKey,
      'revoked.pem': lists.map(({ list }) => list).join(''),
      access: mosquittoAccess(this.#lists.shut()),
      'mosquitto.conf': this.#config(),
    });
    if (changed) await this.#reload();
  }

  async stop(): Promise<void> {}

  #config(): string {
    const { listen, brokerPort } = this.#parts.config;
    const { pidFile } = this.#broker;
    return mosquittoConfig({
      address: listen,
      port: brokerPort,
      certificates: this.#folder.at('server.pem'),
      privateKey: this.#folder.at('server.key'),
      authorities: this.#folder.at('platform.pem'),
      revocationLists: this.#folder.at('revoked.pem'),
      access: this.#folder.at('access'),
      ...(pidFile !== undefined && { pidFile }),
    });
  }

  /** Where this process may: otherwise somebody watches the folder (docs/brokers.md). */
  async #reload(): Promise<void> {
    const { pidFile } = this.#broker;
    if (pidFile === undefined) return;
    try {
      const pid = Number.parseInt(await readFile(pidFile, 'utf8'), 10);
      // the number may be another program's by now
      if ((await readFile(`/proc/${pid}/comm`, 'utf8')).trim() === 'mosquitto') process.kill(pid, 'SIGHUP');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      this.#parts.log.warn({ pidFile, code }, 'mosquitto is not told of changed lists');
    }
  }
}
