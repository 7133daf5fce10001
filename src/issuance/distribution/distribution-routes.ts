import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Admission, TerminalPeer } from '../terminals/admission.ts';
import type { ChunkShelf } from './chunk-shelf.ts';

export interface DistributionRoutesParts {
  /** undefined where there is no such organization */
  readonly shelf: (organization: string) => Promise<ChunkShelf | undefined>;
  /** roots of trust as they were signed, by their version */
  readonly roots: (organization: string) => Promise<ReadonlyMap<number, Uint8Array>>;
  /** who shows a verified certificate of a terminal; undefined for anybody else */
  readonly peer: (request: FastifyRequest) => TerminalPeer | undefined;
  readonly admission: Pick<Admission, 'admits'>;
}

const hashPattern = '^[0-9A-F]{64}$';
const retryAfterSeconds = 5;

/**
 * What terminals fetch over HTTPS: `GET /terminal/v1/chunks/{hash}` for rules and buckets,
 * `GET /terminal/v1/index/{hash}` for indexes. 404: a later manifest is out; 503: ask again after `Retry-After`. And
 * `GET /terminal/v1/roots/{version}` for one root of trust; 404 where there is none of that version.
 */
export function addDistributionRoutes(app: FastifyInstance, parts: DistributionRoutesParts): void {
  app.get<{ Params: { version: number } }>(
    '/terminal/v1/roots/:version',
    {
      schema: {
        params: { type: 'object', properties: { version: { type: 'integer', minimum: 1 } } },
      },
    },
    async (request, reply) => {
      const peer = parts.peer(request);
      if (!peer || !parts.admission.admits(peer)) return refuse(reply, 401, 'certificate');
      const root = (await parts.roots(peer.identity.organization)).get(request.params.version);
      if (!root) return refuse(reply, 404, 'no-root');
      return reply.type('application/octet-stream').send(Buffer.from(root));
    },
  );
  for (const kind of ['chunks', 'index'] as const) {
    app.get<{ Params: { hash: string } }>(
      `/terminal/v1/${kind}/:hash`,
      {
        schema: {
          params: { type: 'object', properties: { hash: { type: 'string', pattern: hashPattern } } },
        },
      },
      async (request, reply) => {
        const peer = parts.peer(request);
        if (!peer || !parts.admission.admits(peer)) return refuse(reply, 401, 'certificate');
        const shelf = await parts.shelf(peer.identity.organization);
        const { hash } = request.params;
        const found = await (kind === 'index' ? shelf?.index(hash) : shelf?.chunk(hash));
        if (found === 'later') return refuse(reply.header('retry-after', retryAfterSeconds), 503, 'later');
        if (!found) return refuse(reply, 404, 'gone');
        return reply.type('application/octet-stream').send(Buffer.from(found));
      },
    );
  }
}

const titles = {
  certificate: 'A certificate of a terminal is needed that is not revoked',
  later: 'This is being made anew: ask again',
  gone: 'A later policy is out',
  'no-root': 'There is no root of that version',
};

function refuse(reply: FastifyReply, status: number, name: keyof typeof titles): FastifyReply {
  return reply
    .code(status)
    .type('application/problem+json')
    .send(JSON.stringify({ type: `urn:kazasu:problem:chunk-${name}`, title: titles[name], status }));
}
