import { constants } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer as createListener, type Server as Listener } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import {
  Aedes,
  type AuthenticateError,
  type Client,
  type ConnectPacket,
  type PublishPacket,
  type Subscription,
} from 'aedes';
import { issuanceUsername } from '#core/sync/terminal-identity.ts';
import { maxPacketBytes } from '#core/sync/topics.ts';
import { type ArrivalLimits, Arrivals } from './arrivals.ts';
import { BoundedConnection } from './bounded-connection.ts';
import { type Peer, peerOf } from './peer.ts';
import { type PeerPermissions, permissionsOf } from './permissions.ts';

export interface BrokerCredentials {
  /** own certificate first, then the authorities below the root; PEM */
  readonly certificates: string;
  /** PKCS#8, PEM */
  readonly privateKey: string;
  /** where the certificates of terminals come from; PEM */
  readonly authorities: string;
}

export interface EmbeddedBrokerOptions {
  readonly host: string;
  /** 0: any that is free */
  readonly port: number;
  readonly credentials: BrokerCredentials;
  /** Whether a certificate that verifies is still good: neither revoked nor replaced. Asked at each connection. */
  readonly admits: (peer: Peer) => boolean;
  /** Something was cut off or refused, for the log and for metrics. */
  readonly told: (event: BrokerEvent) => void;
  readonly limits: BrokerLimits;
}

export interface BrokerLimits extends ArrivalLimits {
  /** Terminals served at once. A further one is told to come later; who is served already, or comes back, is served. */
  readonly terminals: number;
  /** what may wait to be sent to one terminal, in bytes */
  readonly waitingBytes: number;
}

export type BrokerEvent =
  | { readonly kind: 'handshake-refused'; readonly reason: string }
  | { readonly kind: 'handshakes-full' }
  | { readonly kind: 'name-refused' }
  | { readonly kind: 'certificate-refused'; readonly username: string }
  | { readonly kind: 'terminals-full'; readonly username: string }
  | {
      readonly kind: 'publish-refused' | 'subscribe-refused';
      readonly username: string;
      readonly topic: string;
    }
  | { readonly kind: 'packet-too-large' | 'receiver-too-slow'; readonly username: string }
  | { readonly kind: 'protocol-error'; readonly username: string };

/** how long TLS and CONNECT may take, in milliseconds each */
const handshakeWithinMs = 10_000;
/** a client that is silent for 1.5 times what it announced is gone; it must announce something */
const longestKeepaliveS = 120;
/** topics have four levels */
const topicLevels = 8;
/** what is written for the server may wait: its link slows the publishers down instead */
const issuanceWaitingBytes = 256 * 1_048_576;
/** CONNACK (MQTT 3.1.1, 3.2.2.3) */
const serverUnavailable = 3;
const notAuthorized = 5;

interface Known {
  readonly peer: Peer;
  readonly may: PeerPermissions;
}

/**
 * A broker within the server's own process, for small installations and the site: MQTT 3.1.1 over mutual TLS 1.3. The
 * certificate is the whole identity: it is the client's name and id, whatever the client says, and its topics follow.
 */
export class EmbeddedBroker {
  readonly #options: EmbeddedBrokerOptions;
  readonly #aedes: Aedes;
  readonly #listener: Listener;
  readonly #server: Server;
  readonly #arrivals: Arrivals;
  readonly #known = new WeakMap<Client, Known>();
  /** by name; those that are through with CONNECT */
  readonly #served = new Map<string, Client>();
  /** by certificate; those of which CONNECT is awaited */
  readonly #arriving = new Map<string, Client>();

  constructor(options: EmbeddedBrokerOptions) {
    this.#options = options;
    this.#aedes = new Aedes({
      connectTimeout: handshakeWithinMs,
      keepaliveLimit: longestKeepaliveS,
      maxTopicLevels: topicLevels,
      preConnect: (client, packet, done) => {
        const taken = this.#connecting(client, packet);
        done(taken ? null : new Error('connection refused'), taken);
      },
      authenticate: (client, _username, _password, done) => done(this.#refusal(client), true),
      authorizePublish: (client, packet, done) => done(this.#publishRefusal(client, packet)),
      authorizeSubscribe: (client, subscription, done) => done(null, this.#granted(client, subscription)),
      authorizeForward: (client, packet) => (this.#known.get(client)?.may.hear(packet.topic) ? packet : null),
    });
    this.#aedes.on('client', (client) => this.#served.set(client.id, client));
    this.#aedes.on('clientDisconnect', (client) => forget(this.#served, client.id, client));
    this.#aedes.on('clientError', (client) => this.#tell({ kind: 'protocol-error', username: client.id }));
    const { certificates: cert, privateKey: key, authorities: ca } = options.credentials;
    this.#server = createServer({
      cert,
      key,
      ca,
      minVersion: 'TLSv1.3',
      requestCert: true,
      rejectUnauthorized: true,
      handshakeTimeout: handshakeWithinMs,
      // a session that is taken up again would not have its certificate looked at again
      secureOptions: constants.SSL_OP_NO_TICKET,
    });
    this.#server.on('secureConnection', (socket) => {
      this.#arrivals.through(socket);
      this.#arrived(socket);
    });
    this.#server.on('tlsClientError', ({ message }) =>
      this.#tell({ kind: 'handshake-refused', reason: message }),
    );
    this.#arrivals = new Arrivals({
      limits: options.limits,
      begin: (socket) => this.#server.emit('connection', socket),
      refused: () => this.#tell({ kind: 'handshakes-full' }),
      nowMs: () => performance.now(),
    });
    // what comes is not read before its turn, so that it takes nothing from those who are served
    this.#listener = createListener({ pauseOnConnect: true, noDelay: true }, (socket) =>
      this.#arrivals.add(socket),
    );
  }

  /** Rejects with the error of the operating system where the port cannot be had. */
  async start(): Promise<void> {
    await this.#aedes.listen();
    this.#listener.listen(this.#options.port, this.#options.host);
    await once(this.#listener, 'listening');
  }

  async stop(): Promise<void> {
    const closed = once(this.#listener, 'close');
    this.#listener.close();
    this.#arrivals.stop();
    for (const client of this.#arriving.values()) client.close();
    await new Promise<void>((resolve) => this.#aedes.close(resolve));
    await closed;
  }

  port(): number {
    return (this.#listener.address() as AddressInfo).port;
  }

  /** How many terminals are served. */
  terminals(): number {
    return this.#served.size - (this.#served.has(issuanceUsername) ? 1 : 0);
  }

  /** How many connections wait for their handshake. */
  waiting(): number {
    return this.#arrivals.waiting();
  }

  /** Cuts off everybody whose certificate is good no more. */
  recheck(): void {
    for (const client of [...this.#served.values(), ...this.#arriving.values()]) {
      const known = this.#known.get(client);
      if (known && !this.#options.admits(known.peer)) client.close();
    }
  }

  #arrived(socket: TLSSocket): void {
    const peer = peerOf(socket);
    if (!peer) {
      this.#tell({ kind: 'name-refused' });
      socket.destroy();
      return;
    }
    const { username, fingerprint } = peer;
    const exceeded = (bound: 'packet' | 'waiting'): void =>
      this.#tell({ kind: bound === 'packet' ? 'packet-too-large' : 'receiver-too-slow', username });
    const { waitingBytes } = this.#options.limits;
    const client = this.#aedes.handle(
      new BoundedConnection(socket, {
        packetBytes: maxPacketBytes,
        waitingBytes: peer.kind === 'issuance' ? issuanceWaitingBytes : waitingBytes,
        exceeded,
      }),
    );
    this.#known.set(client, { peer, may: permissionsOf(peer) });
    // one certificate holds one connection open without saying what it wants
    this.#arriving.get(fingerprint)?.close();
    this.#arriving.set(fingerprint, client);
    socket.once('close', () => forget(this.#arriving, fingerprint, client));
  }

  /** Name and id are those of the certificate; what the client says of them is not looked at. */
  #connecting(client: Client, packet: ConnectPacket): boolean {
    const known = this.#known.get(client);
    if (!known) return false;
    const { will } = packet;
    if (will && !known.may.publish({ topic: will.topic, qos: will.qos ?? 0, retain: will.retain === true })) {
      this.#tell({ kind: 'publish-refused', username: known.peer.username, topic: will.topic });
      return false;
    }
    packet.clientId = known.peer.username;
    // nothing is kept for those who are away: they are told what they missed when they come back
    packet.clean = true;
    forget(this.#arriving, known.peer.fingerprint, client);
    return true;
  }

  #refusal(client: Client): AuthenticateError | null {
    const peer = this.#known.get(client)?.peer;
    if (!peer) return refusal(notAuthorized);
    if (!this.#options.admits(peer)) {
      this.#tell({ kind: 'certificate-refused', username: peer.username });
      return refusal(notAuthorized);
    }
    const full = this.terminals() >= this.#options.limits.terminals;
    if (peer.kind === 'terminal' && full && !this.#served.has(peer.username)) {
      this.#tell({ kind: 'terminals-full', username: peer.username });
      return refusal(serverUnavailable);
    }
    return null;
  }

  #publishRefusal(client: Client | null, packet: PublishPacket): Error | null {
    const known = client && this.#known.get(client);
    const { topic, qos, retain } = packet;
    if (known?.may.publish({ topic, qos, retain })) return null;
    this.#tell({ kind: 'publish-refused', username: known?.peer.username ?? '', topic });
    return new Error('publish refused');
  }

  /** null refuses the subscription (SUBACK with 0x80) and leaves the connection as it is. */
  #granted(client: Client, subscription: Subscription): Subscription | null {
    const known = this.#known.get(client);
    if (known?.may.subscribe(subscription.topic)) return subscription;
    this.#tell({
      kind: 'subscribe-refused',
      username: known?.peer.username ?? '',
      topic: subscription.topic,
    });
    return null;
  }

  #tell(event: BrokerEvent): void {
    this.#options.told(event);
  }
}

function forget(clients: Map<string, Client>, username: string, client: Client): void {
  if (clients.get(username) === client) clients.delete(username);
}

function refusal(returnCode: number): AuthenticateError {
  return Object.assign(new Error('connection refused'), { returnCode });
}
