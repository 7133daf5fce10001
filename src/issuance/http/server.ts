import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import swagger from '@fastify/swagger';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyRequest,
  LogController,
} from 'fastify';
import { jsonSchemaTransform, serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { Fault } from '#core/fault.ts';
import type { Services } from '../services.ts';
import { addAdministratorRoutes } from './administrator-routes.ts';
import { addCommandRoutes } from './command-routes.ts';
import { addEventRoutes } from './event-routes.ts';
import { addGroupRoutes } from './group-routes.ts';
import { addHolderRoutes } from './holder-routes.ts';
import { addImportRoutes, type ListIntake } from './import-routes.ts';
import { addJournalRoutes } from './journal-routes.ts';
import { LoadLimit, type Rank } from './load-limit.ts';
import { addPasskeyRoutes } from './passkey-routes.ts';
import { addChangeSetRoutes, addRulesRoutes } from './plan-routes.ts';
import { answerError, problemSchema, refuse } from './problem.ts';
import { Routes } from './route.ts';
import { addSessionRoutes } from './session-routes.ts';
import { addTerminalListRoutes } from './terminal-list-routes.ts';

export interface HttpAddress {
  readonly host: string;
  readonly port: number;
  /** PEM files */
  readonly tls?: { readonly certificate: string; readonly key: string };
  /** Addresses and networks whose word counts (X-Forwarded-For) about where a request comes from. */
  readonly trustedProxies?: readonly string[];
}

export interface HttpServerParts {
  readonly services: Services;
  readonly log: FastifyBaseLogger;
  /** rejects while a database does not answer */
  readonly checkHealth: () => Promise<void>;
  readonly lists: ListIntake;
  /** within which a request must have come, but for lists */
  readonly requestTimeoutMs?: number;
  /** With which status a request was answered, and how long that took; for metrics. */
  readonly answered?: (status: number, seconds: number) => void;
  /** A request was told to come later; for metrics. */
  readonly refused?: (why: string) => void;
  readonly version: string;
}

const bodyLimit = 262_144;
const requestTimeoutMs = 30_000;
/** of a request that may take longest: a long list over a slow line */
const longestRequestMs = 3_600_000;
const stopWithinMs = 3_000;

/** requests under way at once */
const places = { usual: 200, first: 50 };
/** what somebody must not wait for while others fill lists: who must get in nowhere, what a door is to do, signing in */
const urgent = /\/(suspension|suspend-card|commands|session)$|^\/health\//;

/** The HTTP interface of the server for administrators and other systems; docs/issuance.md says what it offers. */
export class HttpServer {
  readonly #parts: HttpServerParts;
  #app: FastifyInstance | undefined;

  constructor(parts: HttpServerParts) {
    this.#parts = parts;
  }

  /** Listens and resolves to the address. Rejects with `argument-invalid` where it is taken, or `file-unreadable`. */
  async start({ host, port, tls, trustedProxies = [] }: HttpAddress): Promise<string> {
    const app = await this.#build(tls, trustedProxies);
    this.#app = app;
    try {
      await app.listen({ host, port });
    } catch (error) {
      await app.close();
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
      throw new Fault('argument-invalid', `port ${port} of ${host} is in use`, { cause: error });
    }
    const address = app.server.address() as AddressInfo;
    const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
    return `${tls ? 'https' : 'http'}://${name}:${address.port}`;
  }

  /** Lets requests under way end, for a while; a connection that has never asked for anything would wait a minute. */
  async stop(): Promise<void> {
    const app = this.#app;
    this.#app = undefined;
    const patience = setTimeout(() => app?.server.closeAllConnections(), stopWithinMs);
    await app?.close();
    clearTimeout(patience);
  }

  async #build(tls: HttpAddress['tls'], trustedProxies: readonly string[]): Promise<FastifyInstance> {
    const { log, services, version, answered, refused } = this.#parts;
    const app = Fastify({
      loggerInstance: log,
      // the address of a request may have the id of a person in it
      logController: new LogController({ disableRequestLogging: true }),
      bodyLimit,
      requestTimeout: longestRequestMs,
      forceCloseConnections: 'idle',
      trustProxy: trustedProxies.length > 0 && [...trustedProxies],
      ...(tls && {
        https: {
          cert: await readFile(tls.certificate),
          key: await readFile(tls.key),
          minVersion: 'TLSv1.2' as const,
        },
      }),
    }) as unknown as FastifyInstance;
    app.setValidatorCompiler(validatorCompiler);
    app.setSerializerCompiler(serializerCompiler);
    app.setErrorHandler(answerError);
    app.setNotFoundHandler((_request, reply) => refuse(reply, 'not-there'));
    app.server.headersTimeout = requestTimeoutMs;
    app.addHook('onRequest', async (request) => limitTime(request, this.#parts.requestTimeoutMs));
    new LoadLimit({
      places,
      rank: rankOf,
      refused: (why) => refused?.(why),
      nowMs: () => performance.now(),
    }).protect(app);
    app.addHook('onSend', async (_request, reply) => {
      reply.headers({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
    });
    app.addHook('onResponse', async (request, reply) => {
      logAnswer(request, reply.statusCode, reply.elapsedTime);
      answered?.(reply.statusCode, reply.elapsedTime / 1_000);
    });
    await app.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: { title: 'Kazasu issuance server', version },
        components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
      },
      transform: jsonSchemaTransform,
    });
    await app.register(async (scope) => {
      const routes = new Routes({ app: scope, services });
      addSessionRoutes(routes, scope, services);
      addPasskeyRoutes(routes, scope, services);
      addHolderRoutes(routes);
      addRulesRoutes(routes);
      addChangeSetRoutes(routes);
      addAdministratorRoutes(routes);
      addTerminalListRoutes(routes);
      addCommandRoutes(routes);
      addJournalRoutes(routes);
      addEventRoutes(routes, scope);
      addGroupRoutes(routes);
      addImportRoutes(routes, scope, this.#parts.lists);
      this.#addOwn(scope);
    });
    return app;
  }

  #addOwn(app: FastifyInstance): void {
    app.route({
      method: 'GET',
      url: '/health/live',
      schema: {
        summary: 'Whether the process runs; where this does not answer, start it again',
        response: { 200: z.object({ status: z.literal('live') }) },
      },
      handler: async (_request, reply) => reply.send({ status: 'live' }),
    });
    app.route({
      method: 'GET',
      url: '/health/ready',
      schema: {
        summary: 'Whether the server serves: its databases answer',
        response: { 200: z.object({ status: z.literal('ready') }), 503: problemSchema },
      },
      handler: async (_request, reply) => {
        await this.#parts.checkHealth();
        return reply.send({ status: 'ready' });
      },
    });
    app.get('/api/v1/openapi.json', { schema: { hide: true } as object }, async () => app.swagger());
  }
}

/** Cuts off whoever does not send a request to its end in time; how long the answer takes does not count. */
function limitTime({ raw, routeOptions }: FastifyRequest, limitMs = requestTimeoutMs): void {
  if (raw.complete || routeOptions.config.mayTakeLong) return;
  const timer = setTimeout(() => {
    if (!raw.complete) raw.destroy();
  }, limitMs);
  raw.once('close', () => clearTimeout(timer));
}

function rankOf({ routeOptions }: FastifyRequest): Rank {
  const url = routeOptions.url ?? '';
  if (urgent.test(url)) return 'first';
  return url.endsWith('/events') ? 'stream' : 'usual';
}

/** What was asked, without the address that was asked for: it has ids of people in it. */
function logAnswer(request: FastifyRequest, status: number, tookMs: number): void {
  const { organization } = (request.params ?? {}) as { organization?: string };
  request.log.info(
    {
      method: request.method,
      route: request.routeOptions.url ?? 'none',
      ...(organization !== undefined && { organization }),
      status,
      tookMs: Math.round(tookMs),
    },
    'answered',
  );
}
