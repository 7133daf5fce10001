import { type BrokerEvent, EmbeddedBroker } from '#adapters/broker/embedded-broker.ts';
import { freePort } from '../free-port.ts';
import type { TestPki } from '../trust/test-pki.ts';

/** The embedded broker for tests. It comes back at the port it had. */
export class EmbeddedBrokerRig {
  readonly events: BrokerEvent[] = [];
  readonly revoked = new Set<string>();
  readonly #pki: TestPki;
  readonly #limits: { readonly terminals: number; readonly handshakes: number; readonly waiting: number };
  #broker: EmbeddedBroker | undefined;
  #port = 0;

  constructor(pki: TestPki, limits = { terminals: 1_000, handshakes: 1_000, waiting: 1_000 }) {
    this.#pki = pki;
    this.#limits = limits;
  }

  async start(): Promise<void> {
    // it comes back at the same one, which nobody takes meanwhile
    this.#port ||= await freePort();
    const broker = new EmbeddedBroker({
      host: '127.0.0.1',
      port: this.#port,
      credentials: this.#pki.server,
      admits: ({ serialNumber }) => !this.revoked.has(serialNumber),
      told: (event) => this.events.push(event),
      limits: { ...this.#limits, waitingBytes: 1_048_576 },
    });
    await broker.start();
    this.#broker = broker;
  }

  port(): number {
    return this.#port;
  }

  /** Makes a certificate worthless, for those who are connected as well. */
  async revoke({ serialNumber }: { readonly serialNumber: string }): Promise<void> {
    this.revoked.add(serialNumber);
    this.#broker?.recheck();
  }

  async stop(): Promise<void> {
    await this.#broker?.stop();
    this.#broker = undefined;
  }
}
