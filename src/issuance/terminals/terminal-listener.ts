import { constants } from 'node:crypto';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import { Fault } from '#core/fault.ts';
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
}

const handshakeTimeoutMs = 10_000;
const requestTimeoutMs = 30_000;

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
    const { credentials, log, addRoutes, connections } = this.#parts;
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
