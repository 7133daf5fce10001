import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Principal } from '../administrators/principals.ts';
import type { Scope } from '../administrators/roles.ts';
import type { OrganizationServices, Services } from '../services.ts';
import { isRefusal, problemSchema, refuse } from './problem.ts';

/** What a handler is given: who asks, for what, and what serves the organization. */
export interface Call<P, B, Q> {
  readonly services: OrganizationServices;
  readonly principal: Principal;
  readonly params: P;
  readonly body: B;
  readonly query: Q;
  /** number in If-Match; undefined where the caller says that there must be none (If-None-Match: *) */
  readonly expected: number | undefined;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

/** What a handler answers: a refusal by name, or a body of the described form. */
export type Answer<T> =
  | {
      readonly refuse: string;
      readonly problems?: readonly { readonly path: string; readonly text: string }[];
    }
  | { readonly body?: T; readonly etag?: number };

/** Done, with nothing to say (204). */
export const nothing: Answer<never> = {};

export interface RouteDescription<
  P extends z.ZodObject,
  B extends z.ZodType,
  Q extends z.ZodType,
  T extends z.ZodType,
> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** below `/api/v1/organizations/:organization` */
  readonly url: string;
  readonly summary: string;
  readonly tag: string;
  /** undefined: whoever is signed in */
  readonly scope?: Scope;
  readonly params?: P;
  readonly body?: B;
  readonly query?: Q;
  /** body of the answer; none: 204 */
  readonly answer?: T;
  readonly status?: 200 | 201 | 202;
  /** an If-Match (or, where `none` may be said, If-None-Match: *) is needed */
  readonly condition?: 'match' | 'match-or-none';
  /** an Idempotency-Key is heeded: not where the answer has a secret that must not be stored */
  readonly idempotent?: boolean;
  readonly bodyLimit?: number;
  /** the body may take far longer to come than that of other requests, as long as it comes */
  readonly mayTakeLong?: boolean;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    mayTakeLong?: boolean;
  }
}

const callers = new WeakMap<FastifyRequest, { services: OrganizationServices; principal: Principal }>();
const noParams = z.object({});
const idempotencyKey = /^[\x21-\x7e]{1,128}$/;

/** Adds routes of the HTTP interface, each with its description, authentication and conditions. */
export class Routes {
  readonly #app: FastifyInstance;
  readonly #services: Services;

  constructor(parts: { readonly app: FastifyInstance; readonly services: Services }) {
    this.#app = parts.app;
    this.#services = parts.services;
  }

  add<
    P extends z.ZodObject = typeof noParams,
    B extends z.ZodType = z.ZodUndefined,
    Q extends z.ZodType = z.ZodUndefined,
    T extends z.ZodType = z.ZodNull,
  >(
    description: RouteDescription<P, B, Q, T>,
    handle: (call: Call<z.output<P>, z.output<B>, z.output<Q>>) => Promise<Answer<z.input<T>>>,
  ): void {
    const { method, url, summary, tag, scope, params, body, query, answer, bodyLimit } = description;
    const { mayTakeLong = false } = description;
    const status = answer ? (description.status ?? 200) : 204;
    this.#app.route({
      method,
      url: `/api/v1/organizations/:organization${url}`,
      ...(bodyLimit !== undefined && { bodyLimit }),
      config: { mayTakeLong },
      schema: {
        summary,
        tags: [tag],
        security: [{ bearer: [] }],
        params: (params ?? noParams).extend({ organization: z.string().max(64) }),
        ...(body && { body }),
        ...(query && { querystring: query }),
        headers: headersOf(description),
        response: { 204: z.null(), [status]: answer ?? z.null(), '4xx': problemSchema, 503: problemSchema },
      },
      onRequest: (request, reply) => this.#authenticate(request, reply, scope),
      handler: async (request, reply) => {
        const caller = callers.get(request);
        if (!caller) throw new Error('a request without a caller');
        const condition = conditionOf(request, description.condition);
        if (condition === 'missing') return refuse(reply, 'condition-missing');
        const once = description.idempotent ? onceOf(request) : undefined;
        if (once === 'malformed') return refuse(reply, 'request-invalid', { detail: 'Idempotency-Key' });
        const { services, principal } = caller;
        const answered = await handle({
          services,
          principal: once ? { ...principal, actor: { ...principal.actor, once } } : principal,
          params: request.params as z.output<P>,
          body: request.body as z.output<B>,
          query: request.query as z.output<Q>,
          expected: condition,
          request,
          reply,
        });
        return send(reply, status, answered);
      },
    });
  }

  async #authenticate(request: FastifyRequest, reply: FastifyReply, scope: Scope | undefined) {
    const { organization } = request.params as { organization: string };
    const token = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    const services = token === undefined ? undefined : await this.#services.find(organization);
    const principal = token === undefined ? undefined : await services?.principals.find(token);
    // the same answer for an organization that is not there, so that nobody learns which there are
    if (!services || !principal) return refuse(reply, 'unauthenticated');
    if (scope !== undefined && !principal.scopes.has(scope)) return refuse(reply, 'scope-missing');
    callers.set(request, { services, principal });
  }
}

function send(reply: FastifyReply, status: number, answered: Answer<unknown>): FastifyReply {
  if ('refuse' in answered) {
    const { refuse: name, problems } = answered;
    if (!isRefusal(name)) throw new Error(`no refusal has the name ${name}`);
    return refuse(reply, name, problems ? { problems } : {});
  }
  if (answered.etag !== undefined) reply.header('etag', `"${answered.etag}"`);
  // a stream has its own type and goes out as it comes
  if (answered.body instanceof Readable) return reply.serializer(String).send(answered.body);
  return answered.body === undefined ? reply.code(204).send() : reply.code(status).send(answered.body);
}

/** Descriptions of the headers that a route heeds. */
function headersOf({ condition, idempotent }: { condition?: string; idempotent?: boolean }) {
  return z.object({
    ...(condition && { 'if-match': z.string().optional().describe('ETag of what was read') }),
    ...(condition === 'match-or-none' && {
      'if-none-match': z.string().optional().describe('* where there must be none yet'),
    }),
    ...(idempotent && {
      'idempotency-key': z.string().optional().describe('a request that comes again takes effect once'),
    }),
  });
}

function conditionOf(
  { headers }: FastifyRequest,
  wanted: 'match' | 'match-or-none' | undefined,
): number | undefined | 'missing' {
  if (!wanted) return undefined;
  if (wanted === 'match-or-none' && headers['if-none-match'] === '*') return undefined;
  const number = /^"(\d{1,15})"$/.exec(headers['if-match'] ?? '')?.[1];
  return number === undefined ? 'missing' : Number(number);
}

function onceOf(request: FastifyRequest): { key: string; hash: string } | undefined | 'malformed' {
  const key = request.headers['idempotency-key'];
  if (key === undefined) return undefined;
  if (typeof key !== 'string' || !idempotencyKey.test(key)) return 'malformed';
  const asked = [request.method, request.url, request.headers['if-match'] ?? '', request.body ?? null];
  return { key, hash: createHash('sha256').update(JSON.stringify(asked)).digest('hex') };
}
