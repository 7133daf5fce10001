import { constants } from 'node:crypto';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyRequest,
  LogController,
} from 'fastify';
import { Fault } from '#core/fault.ts';
import { LoadLimit, type Rank } from '../http/load-limit.ts';
import { answerError, refuse } from '../http/problem.ts';

export interface TerminalListenerParts {
  /** PEM */
  readonly credentials: {
    readonly certificates: string;
    readonly privateKey: string;
    readonly authorities: string;
  };
  readonly log: FastifyBaseLogger;
  readonly addRoutes: (app: FastifyInstance) => void;
  /** connections at once; further ones are cut off */
  readonly connections: number;
  /** who asks, so that none takes the place of others */
  readonly peer: (request: FastifyRequest) => string;
  /** Whether this process is held up; parts of policies are then left for later. */
  readonly isHeldUp: () => boolean;
  /** A request was told to come later, or a connection cut; for metrics. */
  readonly refused: (why: string) => void;
  readonly answered: (status: number, seconds: number) => void;
}

const handshakeTimeoutMs = 10_000;
const requestTimeoutMs = 30_000;
/** requests under way at once: what is being sent of a large index is in memory */
const places = { usual: 64, first: 32 };
/** a terminal has four connections */
const ofOnePeer = 8;

/**
 * HTTPS for devices, apart from that for people: a certificate is asked for, and routes say whether one is needed. A
 * device that has none yet is let in to be enrolled.
 */
export class TerminalListener {
  readonly #parts: TerminalListenerParts;
  #app: FastifyInstance | undefined;

  constructor(parts: TerminalListenerParts) {
    this.#parts = parts;
  }

  /** Resolves to the port. Rejects with `argument-invalid` where it is taken. */
  async start({ host, port }: { readonly host: string; readonly port: number }): Promise<number> {
    const { credentials, log, addRoutes, connections, peer, isHeldUp, refused, answered } = this.#parts;
    const app = Fastify<Server>({
      loggerInstance: log,
      logController: new LogController({ disableRequestLogging: true }),
      requestTimeout: requestTimeoutMs,
      forceCloseConnections: true,
      https: {
        cert: credentials.certificates,
        key: credentials.privateKey,
        ca: credentials.authorities,
        requestCert: true,
        rejectUnauthorized: false,
        minVersion: 'TLSv1.3',
        handshakeTimeout: handshakeTimeoutMs,
        // a session that is taken up again would not have its certificate looked at again
        secureOptions: constants.SSL_OP_NO_TICKET,
      },
    }) as unknown as FastifyInstance;
    this.#app = app;
    app.server.maxConnections = connections;
    app.server.on('drop', () => refused('connections'));
    new LoadLimit({
      places,
      ofOnePeer: { most: ofOnePeer, peer },
      rank: rankOf,
      isHeldUp,
      refused,
      nowMs: () => performance.now(),
    }).protect(app);
    app.addHook('onResponse', async (_request, reply) =>
      answered(reply.statusCode, reply.elapsedTime / 1_000),
    );
    app.setErrorHandler(answerError);
    app.setNotFoundHandler((_request, reply) => refuse(reply, 'not-there'));
    addRoutes(app);
    try {
      await app.listen({ host, port });
    } catch (error) {
      await this.stop();
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
      throw new Fault('argument-invalid', `port ${port} of ${host} is in use`, { cause: error });
    }
    return (app.server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    await this.#app?.close();
    this.#app = undefined;
  }
}

/** Certificates and roots of trust come before parts of policies. */
function rankOf({ routeOptions }: FastifyRequest): Rank {
  return /\/(chunks|index)\//.test(routeOptions.url ?? '') ? 'last' : 'first';
}
