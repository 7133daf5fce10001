import { Connection, type Consumer, ConsumerStatus, type Publisher } from 'rabbitmq-client';
import { Fault, isFault, toFaultRecord } from '#core/fault.ts';
import { issuanceUsername } from '#core/sync/terminal-identity.ts';
import { downTopic, maxPayloadBytes, parseUpTopic } from '#core/sync/topics.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';
import type { Intake, IntakeHandlers, OutgoingMessage, TakenMessage } from '#ports/intake.ts';
import type { PublishOutcome } from '#ports/message-bus.ts';
import { exchange, toRoutingKey, toTopic, upBinding, upQueue } from './names.ts';

export interface RabbitIntakeOptions {
  /** the nodes of the cluster: each connection goes to the next one */
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  /** PEM */
  readonly credentials: {
    readonly certificates: string;
    readonly privateKey: string;
    readonly authorities: string;
  };
  readonly password: string;
  readonly clock: Pick<Clock, 'after'>;
  /** Messages were not committed. After a fault the broker gives them again, to this server or another, some times. */
  readonly failed: (error: unknown) => void;
  /** Where absent: a first try within half a second, the later ones within 15 s. */
  readonly retry?: { readonly firstMs: number; readonly mostMs: number };
}

/** given to this server at once, and so the most of one commit; at most 256 KiB each */
const mostInBatch = 200;
/** what waits for a confirmation */
const mostOutgoing = 10_000;
/** what a cluster keeps while no server takes it; beyond, terminals are told to wait */
const mostQueuedBytes = 8 * 1_073_741_824;
/** A batch that could not be committed is given back after this, so that a database that is away is not run against. */
const giveBackAfterMs = 1_000;
/**
 * What was given back so often is let go of, so that what cannot be kept holds up nothing behind it for ever: terminals
 * say again what they got no answer to.
 */
const mostGivenBack = 4;
const connectWithinMs = 10_000;
/** a connection that is silent for twice this is gone */
const heartbeatS = 10;
/** there are few servers, and a terminal waits for each */
const usualRetry = { firstMs: 500, mostMs: 15_000 };

interface Waiting {
  readonly message: TakenMessage;
  /** how often it was given back before */
  readonly givenBack: number;
  readonly settle: (status: ConsumerStatus) => void;
}

/**
 * The server's intake from a cluster of RabbitMQ. What terminals publish is in a quorum queue, on most nodes, until it
 * is committed: a server that dies leaves it to the others. Several servers take from it at once.
 */
export class RabbitIntake implements Intake {
  readonly #options: RabbitIntakeOptions;
  #handlers: IntakeHandlers | undefined;
  #connection: Connection | undefined;
  #consumer: Consumer | undefined;
  #publisher: Publisher | undefined;
  #connected = false;
  #waiting: Waiting[] = [];
  #taking: Promise<void> | undefined;
  #outgoing = 0;
  readonly #delays = new Set<CancelTimer>();

  constructor(options: RabbitIntakeOptions) {
    this.#options = options;
  }

  async start(handlers: IntakeHandlers): Promise<void> {
    this.#handlers = handlers;
    const connection = this.#connect();
    this.#connection = connection;
    this.#publisher = connection.createPublisher({ confirm: true });
    const consumer = connection.createConsumer(
      {
        queue: upQueue,
        queueOptions: {
          durable: true,
          arguments: {
            'x-queue-type': 'quorum',
            'x-max-length-bytes': mostQueuedBytes,
            'x-overflow': 'reject-publish',
          },
        },
        queueBindings: [{ exchange, routingKey: upBinding }],
        qos: { prefetchCount: mostInBatch },
      },
      ({ routingKey, body, headers }) =>
        this.#received({ routingKey, body, givenBack: Number(headers?.['x-delivery-count'] ?? 0) }),
    );
    this.#consumer = consumer;
    consumer.on('ready', () => this.#changed());
    // a channel that ended is opened again; a connection that ended is told below
    consumer.on('error', () => undefined);
  }

  async stop(): Promise<void> {
    this.#handlers = undefined;
    const [connection, consumer] = [this.#connection, this.#consumer];
    const connected = this.#connected;
    this.#connected = false;
    this.#connection = undefined;
    // what does not wait for a commit under way goes to another server
    for (const { settle } of this.#waiting.splice(0)) settle(ConsumerStatus.REQUEUE);
    for (const cancel of this.#delays) cancel();
    this.#delays.clear();
    await this.#taking;
    if (connected) await Promise.allSettled([consumer?.close(), this.#publisher?.close()]);
    else connection?.unsafeDestroy();
    await connection?.close().catch(() => undefined);
  }

  async publish({ to, kind, payload }: OutgoingMessage): Promise<PublishOutcome> {
    if (payload.length > maxPayloadBytes) throw new TypeError(`a payload of ${payload.length} bytes`);
    if (!this.#connected || !this.#publisher) return 'away';
    if (this.#outgoing >= mostOutgoing) return 'full';
    this.#outgoing += 1;
    try {
      const routingKey = toRoutingKey(downTopic(to, kind));
      await this.#publisher.send({ exchange, routingKey, durable: true }, Buffer.from(payload));
      return 'taken';
    } catch {
      return 'away';
    } finally {
      this.#outgoing -= 1;
    }
  }

  #connect(): Connection {
    const { nodes, credentials, password, retry = usualRetry } = this.#options;
    const connection = new Connection({
      hosts: nodes.map(({ host, port }) => `${host}:${port}`),
      username: issuanceUsername,
      password,
      tls: {
        cert: credentials.certificates,
        key: credentials.privateKey,
        ca: credentials.authorities,
        minVersion: 'TLSv1.3',
      },
      heartbeat: heartbeatS,
      connectionTimeout: connectWithinMs,
      retryLow: retry.firstMs,
      retryHigh: retry.mostMs,
    });
    connection.on('error', (error: unknown) => this.#changed(error));
    return connection;
  }

  /** `error`: why it is away */
  #changed(error?: unknown): void {
    const told = this.#connected;
    this.#connected = error === undefined;
    if (error === undefined) {
      if (!told) this.#handlers?.changed({ kind: 'connected' });
      return;
    }
    const fault = new Fault('broker-unreachable', `no node of RabbitMQ is reached (${codeOf(error)})`, {
      cause: error,
    });
    this.#handlers?.changed({ kind: 'away', fault: toFaultRecord(fault) });
  }

  /** Resolves, with what the broker is told of it, when the batch it is in is committed. */
  #received({
    routingKey,
    body,
    givenBack,
  }: {
    readonly routingKey: string;
    readonly body: unknown;
    readonly givenBack: number;
  }): Promise<ConsumerStatus> | ConsumerStatus {
    const told = parseUpTopic(toTopic(routingKey));
    // nothing that a terminal sends: it would come again for ever
    if (!told || !Buffer.isBuffer(body)) return ConsumerStatus.DROP;
    if (!this.#handlers) return ConsumerStatus.REQUEUE;
    const { promise, resolve } = Promise.withResolvers<ConsumerStatus>();
    this.#waiting.push({ message: { ...told, payload: new Uint8Array(body) }, givenBack, settle: resolve });
    this.#taking ??= this.#takeAll();
    return promise;
  }

  async #takeAll(): Promise<void> {
    // what came together is one batch
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0 && this.#handlers) {
      await this.#commit(this.#waiting.splice(0, mostInBatch), this.#handlers);
    }
    this.#taking = undefined;
  }

  /** Settles each message of the batch. */
  async #commit(batch: readonly Waiting[], handlers: IntakeHandlers): Promise<void> {
    try {
      await handlers.consume(batch.map(({ message }) => message));
      for (const { settle } of batch) settle(ConsumerStatus.ACK);
    } catch (error) {
      await this.#notCommitted(batch, { error, handlers });
    }
  }

  async #notCommitted(
    batch: readonly Waiting[],
    { error, handlers }: { readonly error: unknown; readonly handlers: IntakeHandlers },
  ): Promise<void> {
    const own = [...Map.groupBy(batch, ({ message }) => message.from.organization).values()];
    // what cannot be kept of one organization keeps nothing of another from being kept
    if (own.length > 1) return void (await Promise.all(own.map((part) => this.#commit(part, handlers))));
    if (isFault(error)) {
      this.#options.failed(error);
      await this.#delay(giveBackAfterMs);
      for (const { settle, givenBack } of batch)
        settle(givenBack < mostGivenBack ? ConsumerStatus.REQUEUE : ConsumerStatus.DROP);
      return;
    }
    // a bug: what meets it would meet it again
    if (batch.length > 1) {
      for (const one of batch) await this.#commit([one], handlers);
      return;
    }
    this.#options.failed(error);
    for (const { settle } of batch) settle(ConsumerStatus.DROP);
  }

  async #delay(ms: number): Promise<void> {
    if (!this.#handlers) return;
    await new Promise<void>((resolve) => {
      const cancel = this.#options.clock.after(ms, () => {
        this.#delays.delete(ended);
        resolve();
      });
      const ended = (): void => {
        cancel();
        resolve();
      };
      this.#delays.add(ended);
    });
  }
}

function codeOf(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'code' in error) return String(error.code);
  return 'no connection';
}
