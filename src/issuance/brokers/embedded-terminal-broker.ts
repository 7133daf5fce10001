import { EmbeddedBroker } from '#adapters/broker/embedded-broker.ts';
import { MqttIntake } from '#adapters/mqtt/mqtt-intake.ts';
import { Fault } from '#core/fault.ts';
import type { Intake } from '#ports/intake.ts';
import { Seldom } from '../monitoring/seldom.ts';
import type { TerminalBroker, TerminalBrokerParts } from './terminal-broker.ts';

const waitingBytes = 4 * 1_048_576;
/** TLS handshakes at once, and connections that wait for theirs */
const handshakes = 256;
const waiting = 4_096;

/** The broker within this process: it asks who is good at each connection. */
export class EmbeddedTerminalBroker implements TerminalBroker {
  readonly #parts: TerminalBrokerParts;
  readonly #broker: EmbeddedBroker;

  constructor(parts: TerminalBrokerParts) {
    this.#parts = parts;
    const { config, credentials, admission, log, metrics } = parts;
    const seldom = new Seldom({ nowMs: () => performance.now() });
    this.#broker = new EmbeddedBroker({
      host: config.listen,
      port: config.brokerPort,
      credentials,
      admits: (peer) => peer.kind === 'issuance' || admission.admits(peer),
      told: (event) => {
        metrics.refused.inc({ by: 'broker', why: event.kind });
        const said = seldom.tell(event.kind);
        if (said) log.warn({ ...event, ...(said.untold > 0 && said) }, 'broker');
      },
      limits: { terminals: config.most, handshakes, waiting, waitingBytes },
    });
  }

  async start(): Promise<Intake> {
    const { config, shown, own, clock, log, metrics } = this.#parts;
    metrics.watch('kazasu_terminals_connected', 'Terminals served by the broker within this process', () =>
      this.#broker.terminals(),
    );
    metrics.watch('kazasu_connections_waiting', 'Connections that wait for their handshake', () =>
      this.#broker.waiting(),
    );
    await this.#broker.start().catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') throw error;
      throw new Fault('argument-invalid', `port ${config.brokerPort} of ${config.listen} is in use`, {
        cause: error,
      });
    });
    return new MqttIntake({
      address: { host: own, port: this.#broker.port() },
      credentials: async () => shown,
      clock,
      random: Math.random,
      failed: (error) => log.error({ err: error }, 'what terminals told was not stored'),
    });
  }

  addresses(): readonly { readonly host: string; readonly port: number }[] {
    const [host = 'localhost'] = this.#parts.config.hosts;
    return [{ host, port: this.#broker.port() }];
  }

  recheck(): void {
    this.#broker.recheck();
  }

  async look(): Promise<void> {}

  async tell(): Promise<void> {}

  stop(): Promise<void> {
    return this.#broker.stop();
  }
}
