import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { scopes } from '../administrators/roles.ts';
import type { Services } from '../services.ts';
import { problemSchema, refuse } from './problem.ts';
import { nothing, type Routes } from './route.ts';
import { moment, momentOf } from './wire.ts';

const tag = 'session';

/** Signing in and out. The session is a bearer token, so that no page of another origin can use it unasked. */
export function addSessionRoutes(routes: Routes, app: FastifyInstance, services: Services): void {
  addSignIn(app, services);
  routes.add(
    {
      method: 'GET',
      url: '/session',
      summary: 'Who is signed in, and what that one may do',
      tag,
      answer: z.object({
        id: z.string(),
        via: z.enum(['session', 'api-token']),
        scopes: z.array(z.enum(scopes)),
        groups: z.array(z.string()).optional().describe('groups within reach; absent: all'),
      }),
    },
    async ({ principal: { actor, scopes: granted, groups } }) => ({
      body: {
        id: actor.id,
        via: actor.via === 'session' ? ('session' as const) : ('api-token' as const),
        scopes: [...granted],
        ...(groups && { groups: [...groups] }),
      },
    }),
  );
  routes.add(
    { method: 'DELETE', url: '/session', summary: 'Sign out', tag },
    async ({ services: { signIn }, principal }) => {
      await signIn.signOut(principal.tokenHash, principal.actor);
      return nothing;
    },
  );
}

function addSignIn(app: FastifyInstance, services: Services): void {
  const body = z.strictObject({
    administrator: z.string().min(1).max(64),
    password: z.string().min(1).max(256),
    oneTimePassword: z
      .string()
      .regex(/^\d{6}$/)
      .exactOptional(),
  });
  const answer = z.object({ token: z.string(), expires: moment });
  app.route({
    method: 'POST',
    url: '/api/v1/organizations/:organization/session',
    bodyLimit: 4_096,
    schema: {
      summary: 'Sign in with password and one-time password',
      tags: [tag],
      params: z.object({ organization: z.string().max(64) }),
      body,
      response: { 201: answer, '4xx': problemSchema, 503: problemSchema },
    },
    handler: async (request, reply) => {
      const { organization } = request.params as { organization: string };
      const found = await services.find(organization);
      if (!found) {
        // takes as long as for an organization that is there
        const { password } = request.body as z.output<typeof body>;
        await services.passwords.check(password, undefined, peerOf(request.ip));
        return refuse(reply, 'sign-in-refused');
      }
      const outcome = await found.signIn.signIn(request.body as z.output<typeof body>, peerOf(request.ip));
      if (outcome.kind === 'busy') return refuse(reply, 'busy');
      if (outcome.kind === 'refused') return refuse(reply, 'sign-in-refused');
      return reply.code(201).send({ token: outcome.token, expires: momentOf(outcome.expiresAtMs) });
    },
  });
}

/** Whom an address is of: a machine may have all IPv6 addresses of its network, a /64. */
export function peerOf(address: string): string {
  if (!address.includes(':') || address.startsWith('::ffff:')) return address;
  const [before = [], after = []] = address.split('::').map((part) => part.split(':').filter(Boolean));
  const zeros = Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => '0');
  return [...before, ...zeros, ...after].slice(0, 4).join(':');
}
