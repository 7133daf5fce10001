import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { type IClientOptions, MqttClient } from 'mqtt';
import type { TlsCredentials } from '#adapters/mqtt/credentials.ts';
import { Seen } from './seen.ts';

/** What somebody shows who shows nothing. */
export const nothingShown = (authorities: string): TlsCredentials => ({
  authorities,
  certificates: '',
  privateKey: '',
});

export interface AttackerOptions
  extends Pick<IClientOptions, 'clientId' | 'username' | 'will' | 'clean' | 'keepalive'> {
  /** a TLS session of before */
  readonly session?: Buffer;
}

/** An MQTT client that keeps to no rule of ours. */
export class Attacker {
  readonly heard = new Seen<string>();
  readonly #credentials: TlsCredentials;
  readonly #port: number;
  #client: MqttClient | undefined;
  session: Buffer | undefined;

  constructor(credentials: TlsCredentials, port: number) {
    this.#credentials = credentials;
    this.#port = port;
  }

  /** Whether the broker let it in. */
  async connect({ session, ...options }: AttackerOptions = {}): Promise<boolean> {
    const client = new MqttClient(
      () => {
        const socket = openTls(this.#credentials, this.#port, session);
        socket.on('session', (given) => {
          this.session = given;
        });
        return socket;
      },
      {
        clientId: ownId(this.#credentials),
        protocolVersion: 4,
        clean: true,
        reconnectPeriod: 0,
        keepalive: 30,
        ...options,
      },
    );
    this.#client = client;
    client.on('error', () => undefined);
    client.on('message', (topic) => this.heard.add(topic));
    const result = await Promise.race([
      new Promise<boolean>((resolve) => client.once('connect', () => resolve(true))),
      new Promise<boolean>((resolve) => client.once('close', () => resolve(false))),
    ]);
    return result;
  }

  /** Resolves when the broker has answered, or has cut the connection. */
  async publish(
    topic: string,
    options: { qos?: 0 | 1 | 2; retain?: boolean; bytes?: number } = {},
  ): Promise<void> {
    const client = this.#connected();
    await this.#answered((done) =>
      client.publish(topic, Buffer.alloc(options.bytes ?? 8, 0x41), { qos: 1, ...options }, done),
    );
  }

  async subscribe(filter: string): Promise<void> {
    const client = this.#connected();
    await this.#answered((done) => client.subscribe(filter, { qos: 1 }, done));
  }

  isConnected(): boolean {
    return this.#client?.connected === true;
  }

  /** Resolves when the broker has cut it. */
  async cut(): Promise<void> {
    const client = this.#connected();
    if (client.connected) await new Promise<void>((resolve) => client.once('close', () => resolve()));
  }

  /** Dies without leave. */
  async die(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    if (!client || client.stream.destroyed) return;
    const closed = new Promise<void>((resolve) => client.stream.once('close', () => resolve()));
    client.stream.destroy();
    await closed;
  }

  #connected(): MqttClient {
    if (!this.#client) throw new Error('not connected');
    return this.#client;
  }

  async #answered(action: (done: () => void) => unknown): Promise<void> {
    const client = this.#connected();
    if (!client.connected) return;
    await Promise.race([
      new Promise<void>((resolve) => void action(resolve)),
      new Promise<void>((resolve) => client.once('close', () => resolve())),
    ]);
  }
}

/** The client id that a broker may hold the certificate to: its subject. */
function ownId({ certificates }: TlsCredentials): string {
  if (certificates === '') return 'x';
  return new X509Certificate(certificates).subject?.split('\n').reverse().join(',') || 'x';
}

function openTls(
  { certificates, privateKey, authorities }: TlsCredentials,
  port: number,
  session?: Buffer,
): TLSSocket {
  return connect({
    host: 'localhost',
    port,
    servername: 'localhost',
    ca: authorities,
    ...(certificates === '' ? {} : { cert: certificates, key: privateKey }),
    ...(session && { session }),
  });
}

/** Sends bytes over TLS and resolves with what came back before the broker ended the connection, or fell silent. */
export async function sendRaw(credentials: TlsCredentials, port: number, bytes: Uint8Array): Promise<Buffer> {
  const socket = openTls(credentials, port);
  const answers: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => answers.push(chunk));
  socket.on('error', () => undefined);
  socket.setTimeout(2_000, () => socket.destroy());
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.write(bytes);
  await closed;
  return Buffer.concat(answers);
}

/** Opens bare connections that say nothing. */
export async function openBare(port: number, count: number): Promise<readonly Socket[]> {
  const sockets = Array.from({ length: count }, () => connectTcp({ host: '127.0.0.1', port }));
  for (const socket of sockets) socket.on('error', () => undefined);
  await Promise.all(
    sockets.map((socket) =>
      Promise.race([once(socket, 'connect'), once(socket, 'close')]).catch(() => undefined),
    ),
  );
  return sockets;
}
