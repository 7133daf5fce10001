import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { type IClientOptions, MqttClient } from 'mqtt';
import { writeToStream } from 'mqtt-packet';
import { type Fault, toFaultRecord } from '#core/fault.ts';
import { maxPayloadBytes } from '#core/sync/topics.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';
import type { BusState, PublishOutcome } from '#ports/message-bus.ts';
import type { TlsCredentials } from './credentials.ts';
import { isTooMuch, linkFault } from './link-fault.ts';
import { Window } from './window.ts';

// the bytes of all 65,536 packet numbers made beforehand are 9 MB
writeToStream.cacheNumbers = false;

export interface BrokerAddress {
  /** name or address that the broker's certificate carries */
  readonly host: string;
  readonly port: number;
}

export interface MqttLinkOptions {
  /** The broker, or asked for at each try, with how many have failed since the last good connection. */
  readonly address: BrokerAddress | ((failures: number) => BrokerAddress);
  /** Asked at each connection, so that a renewed certificate serves from the next one on. */
  readonly credentials: () => Promise<TlsCredentials>;
  /** name at the broker and client id, which brokers hold equal */
  readonly username: string;
  /** subscribed at each connection, before it counts as one */
  readonly filter: string;
  /** published by the broker when the connection ends without leave; at most `maxPayloadBytes` */
  readonly will?: { readonly topic: string; readonly payload: Uint8Array };
  readonly clock: Pick<Clock, 'after' | 'monotonicUs'>;
  /** between 0 and 1, for the scatter of reconnections */
  readonly random: () => number;
  /** what may wait for the broker's answer */
  readonly limits: { readonly messages: number; readonly bytes: number };
  /** Where absent: a first try within 2 s, the later ones within 30 s. */
  readonly retry?: { readonly firstMs: number; readonly mostMs: number };
}

export interface LinkHandlers {
  /** The next message comes when it has resolved; it resolves soon, whatever becomes of the message. */
  readonly received: (message: ReceivedMessage) => Promise<void>;
  readonly changed: (state: BusState) => void;
}

export interface ReceivedMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  /** an old message, kept by the broker */
  readonly retained: boolean;
}

/** how long TLS, CONNECT and SUBSCRIBE may take together, in milliseconds */
const connectWithinMs = 15_000;
/** a broker hears of a silent client after 1.5 times this */
const keepaliveS = 30;
/** a connection that lasted this long counts as a good one, and the delays begin anew */
const goodAfterMs = 30_000;
const leaveWithinMs = 1_000;
/** MQTT 3.1.1, 3.14 */
const disconnectPacket = Uint8Array.of(0xe0, 0x00);
/** refusals beyond which tries become no rarer: with the usual delays one in five minutes */
const mostRefusals = 10;
const usualRetry = { firstMs: 2_000, mostMs: 30_000 };

/**
 * One connection after another to an MQTT broker (3.1.1, mutual TLS 1.3, clean sessions, QoS 1). Each is a client of
 * its own, so that nothing of the last one is sent again. The delays between tries grow and are scattered over their
 * whole length, so that thousands who lost one broker do not come back at once.
 */
export class MqttLink {
  readonly #options: MqttLinkOptions;
  readonly #window: Window;
  #handlers: LinkHandlers | undefined;
  #client: MqttClient | undefined;
  #connected = false;
  #retry: CancelTimer | undefined;
  #failures = 0;
  /** how often in a row it was told that there are too many already */
  #refusals = 0;
  /**
   * The last connection ended between CONNECT and the answer to SUBSCRIBE, so that the next one asks for QoS 0. RabbitMQ
   * (3.10) keeps what is told with QoS 1 in a queue at one node, and while that node is down nobody may have that queue.
   */
  #cutOff = false;
  /** numbers the tries, so that what an old one still says is not heard */
  #attempt = 0;

  constructor(options: MqttLinkOptions) {
    this.#options = options;
    this.#window = new Window(options.limits);
  }

  start(handlers: LinkHandlers): void {
    this.#handlers = handlers;
    void this.#connect();
  }

  /** Takes leave, so that the broker publishes no will. */
  async stop(): Promise<void> {
    const client = this.#client;
    const connected = this.#connected;
    this.#attempt += 1;
    this.#retry?.();
    this.#handlers = undefined;
    this.#letGo();
    if (!client || client.stream.destroyed) return;
    await new Promise<void>((resolve) => {
      const cancel = this.#options.clock.after(leaveWithinMs, () => client.stream.destroy());
      client.stream.once('close', () => {
        cancel();
        resolve();
      });
      if (!connected) client.stream.destroy();
      else client.stream.end(disconnectPacket);
    });
  }

  async publish(topic: string, payload: Uint8Array, retain: boolean): Promise<PublishOutcome> {
    if (payload.length > maxPayloadBytes) throw new TypeError(`a payload of ${payload.length} bytes`);
    const client = this.#client;
    if (!client || !this.#connected) return 'away';
    const entry = this.#window.enter(payload.length);
    if (!entry) return 'full';
    client.publish(topic, Buffer.from(payload), { qos: 1, retain }, (error) =>
      entry.leave(error ? 'away' : 'taken'),
    );
    return entry.outcome;
  }

  async #connect(): Promise<void> {
    this.#attempt += 1;
    const attempt = this.#attempt;
    const beganUs = this.#options.clock.monotonicUs();
    const { address: at, credentials: shown } = this.#options;
    const address = typeof at === 'function' ? at(this.#failures) : at;
    const ended = (failure: unknown): void => {
      if (attempt !== this.#attempt) return;
      this.#refusals = isTooMuch(failure) ? this.#refusals + 1 : 0;
      this.#ended(beganUs, linkFault(failure, address));
    };
    try {
      const credentials = await shown();
      if (attempt === this.#attempt) this.#client = this.#open({ address, credentials }, ended);
    } catch (error) {
      ended(error);
    }
  }

  #open(
    { address, credentials }: { readonly address: BrokerAddress; readonly credentials: TlsCredentials },
    ended: (failure: unknown) => void,
  ): MqttClient {
    const { clock, filter } = this.#options;
    let failure: unknown;
    const failed = (error: unknown): void => {
      failure ??= error;
      client.stream.destroy();
    };
    const client = new MqttClient(() => {
      const socket = openSocket(address, credentials);
      socket.on('error', (error) => {
        failure ??= error;
      });
      return socket;
    }, clientOptions(this.#options));
    const cancel = clock.after(connectWithinMs, () => failed(new Error('no answer in time')));
    client.on('error', failed);
    const qos = this.#cutOff ? 0 : 1;
    this.#cutOff = false;
    client.once('connect', () => {
      this.#cutOff = qos === 1;
      client.subscribe(filter, { qos }, (error, granted) => {
        if (error || granted?.[0]?.qos !== qos) return failed(error ?? new Error('subscription refused'));
        this.#cutOff = false;
        cancel();
        if (this.#client === client) this.#joined();
      });
    });
    client.once('close', () => {
      cancel();
      ended(failure);
    });
    client.handleMessage = ({ topic, payload, retain }, done) => {
      const message = { topic, payload: Buffer.from(payload), retained: retain };
      // of a client that was let go of, nothing more is wanted
      if (this.#client === client) void this.#handlers?.received(message).then(() => done());
    };
    return client;
  }

  #joined(): void {
    this.#connected = true;
    this.#handlers?.changed({ kind: 'connected' });
  }

  #ended(beganUs: number, fault: Fault): void {
    const { clock, random, retry: { firstMs, mostMs } = usualRetry } = this.#options;
    const lastedMs = (clock.monotonicUs() - beganUs) / 1_000;
    this.#failures = this.#connected && lastedMs > goodAfterMs ? 0 : this.#failures + 1;
    this.#letGo(fault);
    const usual = Math.min(mostMs, firstMs * 2 ** Math.max(0, this.#failures - 1));
    // the more there are who find no room, the longer the time over which they come back
    const longest = this.#refusals > 0 ? mostMs * Math.min(mostRefusals, this.#refusals) : usual;
    this.#retry = clock.after(random() * longest, () => void this.#connect());
  }

  /** Whoever waits for an answer of this connection hears that it is gone. */
  #letGo(fault?: Fault): void {
    this.#client = undefined;
    this.#connected = false;
    this.#window.clear();
    this.#handlers?.changed({ kind: 'away', ...(fault && { fault: toFaultRecord(fault) }) });
  }
}

function clientOptions({ username, will }: MqttLinkOptions): IClientOptions {
  return {
    clientId: username,
    protocolVersion: 4,
    clean: true,
    keepalive: keepaliveS,
    // each try is a client of its own
    reconnectPeriod: 0,
    connectTimeout: connectWithinMs,
    resubscribe: false,
    ...(will && { will: { topic: will.topic, payload: Buffer.from(will.payload), qos: 1, retain: false } }),
  };
}

function openSocket({ host, port }: BrokerAddress, credentials: TlsCredentials): Duplex {
  const socket = connectTls({
    host,
    port,
    // an address is no server name (RFC 6066, 3); it is looked for in the certificate all the same
    ...(isIP(host) === 0 && { servername: host }),
    cert: credentials.certificates,
    key: credentials.privateKey,
    ca: credentials.authorities,
    minVersion: 'TLSv1.3',
  });
  socket.setNoDelay(true);
  return socket;
}
