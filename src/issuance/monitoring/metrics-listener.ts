import type { AddressInfo } from 'node:net';
import Fastify, { type FastifyInstance } from 'fastify';
import { Fault } from '#core/fault.ts';
import { answerError, refuse } from '../http/problem.ts';
import type { Metrics } from './metrics.ts';

const requestTimeoutMs = 10_000;
/** whoever gathers metrics needs one or two */
const connections = 16;

/** `GET /metrics` at an address of its own, which whoever gathers metrics may reach and nobody else needs to. */
export class MetricsListener {
  readonly #metrics: Metrics;
  #app: FastifyInstance | undefined;

  constructor(parts: { readonly metrics: Metrics }) {
    this.#metrics = parts.metrics;
  }

  /** Resolves to the port. Rejects with `argument-invalid` where it is taken. */
  async start({ host, port }: { readonly host: string; readonly port: number }): Promise<number> {
    const app = Fastify({ requestTimeout: requestTimeoutMs, forceCloseConnections: true });
    this.#app = app;
    app.server.maxConnections = connections;
    app.setErrorHandler(answerError);
    app.setNotFoundHandler((_request, reply) => refuse(reply, 'not-there'));
    app.get('/metrics', async (_request, reply) => {
      const { text, type } = await this.#metrics.text();
      return reply.type(type).send(text);
    });
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
