import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import fastifyStatic from '@fastify/static';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  LogController,
} from 'fastify';
import { z } from 'zod';
import { Fault, isFault } from '#core/fault.ts';
import type { Problem } from '#web/site/api.ts';
import { emptyBody, holdBody, journalQuery, padBody, rulesBody, visitBody } from '#web/site/requests.ts';
import type { Attempt, Building, Refusal } from './building.ts';
import { EventFeed, type EventSink } from './event-feed.ts';
import { isLocalRequest, securityHeaders } from './origin-guard.ts';

const heartbeatEveryMs = 15_000;
/** pages connected at the same time; more are asked to come back later */
const pageLimit = 32;

export interface SiteServerParts {
  readonly building: Building;
  /** the built pages (dist/web) */
  readonly pagesDirectory: string;
  readonly runId: string;
  readonly log: FastifyBaseLogger;
}

const refusals: Readonly<Record<Refusal, { status: number; title: string }>> = {
  unknown: { status: 404, title: 'There is no such card, reader or door' },
  occupied: { status: 409, title: 'Another card is on that reader, or this card is already held over one' },
  'not-asked': { status: 409, title: 'No PIN is asked for at that reader now' },
  busy: { status: 409, title: 'The last such request has not finished' },
};

/** The HTTP server of the site: JSON for what visitors do, Server-Sent Events for what happens, and the page. */
export class SiteServer {
  readonly #building: Building;
  readonly #feed: EventFeed;
  readonly #app: FastifyInstance;
  readonly #pagesDirectory: string;
  #unsubscribe: (() => void) | undefined;
  #heartbeat: NodeJS.Timeout | undefined;

  constructor(parts: SiteServerParts) {
    this.#building = parts.building;
    this.#pagesDirectory = parts.pagesDirectory;
    this.#feed = new EventFeed({ runId: parts.runId, snapshot: () => parts.building.snapshot() });
    this.#app = Fastify({
      loggerInstance: parts.log,
      logController: new LogController({ disableRequestLogging: true }),
      bodyLimit: 4_096,
      forceCloseConnections: true,
    });
  }

  /** Listens on 127.0.0.1 alone and returns the URL. Rejects with `argument-invalid` when the port is taken. */
  async start(port: number): Promise<string> {
    this.#guard(this.#app);
    this.#routes(this.#app);
    this.#unsubscribe = this.#building.subscribe((event) => this.#feed.publish(event));
    this.#heartbeat = setInterval(() => this.#feed.heartbeat(), heartbeatEveryMs);
    try {
      await this.#app.register(fastifyStatic, { root: this.#pagesDirectory, index: false });
      await this.#app.listen({ host: '127.0.0.1', port });
    } catch (error) {
      await this.stop();
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
      const message = `port ${port} on 127.0.0.1 is in use; stop what uses it or choose another with --port`;
      throw new Fault('argument-invalid', message, { cause: error });
    }
    return `http://127.0.0.1:${this.#port()}/`;
  }

  async stop(): Promise<void> {
    clearInterval(this.#heartbeat);
    this.#unsubscribe?.();
    this.#feed.close();
    await this.#app.close();
  }

  #port(): number {
    return (this.#app.server.address() as AddressInfo).port;
  }

  #guard(app: FastifyInstance): void {
    app.addHook('onRequest', async (request, reply) => {
      reply.headers(securityHeaders);
      if (isLocalRequest(request.headers, this.#port())) return;
      await send(reply, { status: 403, title: 'Only the page of this site may ask' });
    });
    // forms of foreign pages can send text without asking first; JSON they cannot
    app.removeContentTypeParser('text/plain');
    app.setNotFoundHandler((_request, reply) => send(reply, { status: 404, title: 'Not found' }));
    app.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
      if (error instanceof z.ZodError) return send(reply, invalid(error));
      if (isFault(error)) return send(reply, { status: 503, title: error.message, code: error.code });
      const status = error.statusCode ?? 500;
      if (status >= 500) request.log.error(error);
      return send(reply, { status, title: status >= 500 ? 'The site failed: see its log' : error.message });
    });
  }

  #routes(app: FastifyInstance): void {
    const building = this.#building;
    app.get('/', (_request, reply) => reply.header('cache-control', 'no-cache').sendFile('site/index.html'));
    app.get('/api/state', () => building.snapshot());
    app.get('/api/events', (request, reply) => {
      if (this.#feed.pages >= pageLimit) {
        return send(reply, { status: 503, title: 'Too many pages are connected' });
      }
      reply.hijack();
      const last = request.headers['last-event-id'];
      this.#stream(reply.raw, Array.isArray(last) ? last[0] : last);
    });
    app.get('/api/journal', (request) => {
      const { before, limit } = journalQuery.parse(request.query);
      return building.entries(before, limit);
    });
    app.post('/api/journal/verify', (request) => {
      emptyBody.parse(request.body ?? {});
      return building.verifyJournal();
    });
    app.post<Id>('/api/cards/:id/hold', (request, reply) =>
      answer(reply, building.hold(request.params.id, holdBody.parse(request.body).readerId)),
    );
    app.post<Id>('/api/cards/:id/take', (request, reply) => answer(reply, building.take(request.params.id)));
    app.post<Id>('/api/readers/:id/keys', (request, reply) =>
      answer(reply, building.pressKey(request.params.id, padBody.parse(request.body).key)),
    );
    app.post<Id>('/api/doors/:id/visit', async (request, reply) =>
      answer(reply, await building.visit(request.params.id, visitBody.parse(request.body).action)),
    );
    app.post('/api/rules', async (request, reply) =>
      answer(reply, await building.installRules(rulesBody.parse(request.body).rules)),
    );
    app.post('/api/deck/reset', async (_request, reply) => answer(reply, await building.resetDeck()));
  }

  #stream(response: ServerResponse, lastEventId: string | undefined): void {
    response.writeHead(200, {
      ...securityHeaders,
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
    });
    const sink: EventSink = {
      write: (text) => void response.write(text),
      bufferedBytes: () => response.writableLength,
      close: () => response.destroy(),
    };
    const detach = this.#feed.attach(sink, lastEventId);
    response.once('close', detach);
  }
}

interface Id {
  Params: { id: string };
}

interface ProblemInput {
  readonly status: number;
  readonly title: string;
  readonly code?: string;
  readonly errors?: Problem['errors'];
}

function send(reply: FastifyReply, { status, title, code, errors }: ProblemInput): FastifyReply {
  const problem: Problem = {
    type: code ? `fault:${code}` : 'about:blank',
    title,
    status,
    ...(errors && { errors }),
  };
  return reply.status(status).type('application/problem+json').send(problem);
}

function invalid(error: z.ZodError): ProblemInput {
  const errors = error.issues.map((issue) => ({ path: issue.path.join('.'), message: issue.message }));
  return { status: 400, title: 'The request is not valid', errors };
}

function answer(reply: FastifyReply, attempt: Attempt): FastifyReply {
  if (attempt === 'done') return reply.status(204).send();
  return send(reply, refusals[attempt]);
}
