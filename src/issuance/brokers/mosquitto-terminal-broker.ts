import { readFile } from 'node:fs/promises';
import { MqttIntake } from '#adapters/mqtt/mqtt-intake.ts';
import type { Intake } from '#ports/intake.ts';
import { MosquittoFiles } from './mosquitto-files.ts';
import type { TerminalBroker, TerminalBrokerParts, TerminalsConfig } from './terminal-broker.ts';

type MosquittoConfig = Extract<TerminalsConfig['broker'], { kind: 'mosquitto' }>;

/** A mosquitto beside this process, which reads the files that are kept current here. */
export class MosquittoTerminalBroker implements TerminalBroker {
  readonly #parts: TerminalBrokerParts;
  readonly #broker: MosquittoConfig;
  #files: MosquittoFiles | undefined;

  constructor(parts: TerminalBrokerParts, broker: MosquittoConfig) {
    this.#parts = parts;
    this.#broker = broker;
  }

  async start(): Promise<Intake> {
    const { shown, own, clock, log, config } = this.#parts;
    await this.#opened();
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
    const files = await this.#opened();
    if (changed || files.isDue(organization)) await files.look(organization);
  }

  async tell(): Promise<void> {
    const files = await this.#opened();
    if (await files.writeLists()) await this.#reload();
  }

  async stop(): Promise<void> {}

  async #opened(): Promise<MosquittoFiles> {
    if (this.#files) return this.#files;
    const { config, certificates, services, clock, credentials } = this.#parts;
    const files = new MosquittoFiles({
      config: { ...config, broker: this.#broker },
      certificates,
      services: await services(),
      clock,
    });
    if (await files.writeConfig(credentials)) await this.#reload();
    this.#files = files;
    return files;
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
