import type { AuthenticationResponseJSON, RegistrationResponseJSON } from '@simplewebauthn/server';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Passkey } from '../administrators/passkeys.ts';
import { shortId } from '../organizations/organizations.ts';
import type { Services } from '../services.ts';
import { problemSchema, refuse } from './problem.ts';
import { nothing, type Routes } from './route.ts';
import { moment, momentOf } from './wire.ts';

const tag = 'passkeys';
const bytes = z.string().max(65_536).describe('base64url');
const credentialId = z.string().regex(/^[A-Za-z0-9_-]{1,1364}$/);
/** what `PublicKeyCredential.toJSON()` gives; the library looks at all of it */
const credential = z.looseObject({ id: credentialId, rawId: credentialId, type: z.literal('public-key') });
const registrationResponse = credential.extend({
  response: z.looseObject({ clientDataJSON: bytes, attestationObject: bytes }),
  clientExtensionResults: z.looseObject({}),
});
const signInResponse = credential.extend({
  response: z.looseObject({
    clientDataJSON: bytes,
    authenticatorData: bytes,
    signature: bytes,
    userHandle: bytes.optional(),
  }),
  clientExtensionResults: z.looseObject({}),
});
const options = z
  .looseObject({ challenge: z.string() })
  .describe('as WebAuthn names it; binary values in base64url');
const passkeyAnswer = z.object({
  id: z.string(),
  name: z.string(),
  backedUp: z.boolean(),
  made: moment,
  used: moment,
});
const bodyLimit = 262_144;

/** Passkeys of administrators (WebAuthn): registered by whoever is signed in, and used to sign in. */
export function addPasskeyRoutes(routes: Routes, app: FastifyInstance, services: Services): void {
  addSignIn(app, services);
  addOwn(routes);
  addOthers(routes);
}

function addOwn(routes: Routes): void {
  routes.add(
    {
      method: 'GET',
      url: '/passkeys',
      summary: 'Passkeys of whoever is signed in',
      tag,
      answer: z.object({ items: z.array(passkeyAnswer) }),
    },
    async ({ services: { passkeys }, principal: { actor } }) => {
      if (!passkeys || actor.via !== 'session') return { refuse: 'not-there' };
      return { body: { items: (await passkeys.list(actor.id)).map(shown) } };
    },
  );
  routes.add(
    {
      method: 'POST',
      url: '/passkeys/options',
      summary: 'What a browser needs to make a passkey, within 15 minutes of signing in',
      tag,
      answer: options,
    },
    async ({ services: { passkeys }, principal }) => {
      const begun = await passkeys?.beginRegistration(principal);
      if (!passkeys) return { refuse: 'not-there' };
      return begun ? { body: { ...begun } } : { refuse: 'session-too-old' };
    },
  );
  routes.add(
    {
      method: 'POST',
      url: '/passkeys',
      summary: 'Keep the passkey that an authenticator has made',
      tag,
      body: z.strictObject({ name: z.string().min(1).max(100), credential: registrationResponse }),
      answer: passkeyAnswer,
      status: 201,
      bodyLimit,
    },
    async ({ services: { passkeys }, principal, body }) => {
      if (!passkeys) return { refuse: 'not-there' };
      const response = body.credential as unknown as RegistrationResponseJSON;
      const outcome = await passkeys.register(body.name, response, principal);
      return outcome.kind === 'registered' ? { body: shown(outcome.passkey) } : { refuse: 'passkey-refused' };
    },
  );
  routes.add(
    {
      method: 'DELETE',
      url: '/passkeys/:passkey',
      summary: 'Remove a passkey of one’s own; all sessions end',
      tag,
      params: z.object({ passkey: credentialId }),
    },
    async ({ services: { passkeys }, principal: { actor }, params }) => {
      if (actor.via !== 'session') return { refuse: 'not-there' };
      return (await passkeys?.remove(actor.id, params.passkey, actor)) ? nothing : { refuse: 'not-there' };
    },
  );
}

function addOthers(routes: Routes): void {
  const params = z.object({ administrator: shortId });
  routes.add(
    {
      method: 'GET',
      url: '/administrators/:administrator/passkeys',
      summary: 'Passkeys of an account',
      tag,
      scope: 'administrators:read',
      params,
      answer: z.object({ items: z.array(passkeyAnswer) }),
    },
    async ({ services: { passkeys }, params: { administrator } }) =>
      passkeys
        ? { body: { items: (await passkeys.list(administrator)).map(shown) } }
        : { refuse: 'not-there' },
  );
  routes.add(
    {
      method: 'DELETE',
      url: '/administrators/:administrator/passkeys/:passkey',
      summary: 'Take a passkey, such as a lost one, from an account; its sessions end',
      tag,
      scope: 'administrators:write',
      params: params.extend({ passkey: credentialId }),
    },
    async ({ services: { passkeys }, principal: { actor }, params: { administrator, passkey } }) =>
      (await passkeys?.remove(administrator, passkey, actor)) ? nothing : { refuse: 'not-there' },
  );
}

function addSignIn(app: FastifyInstance, services: Services): void {
  const url = '/api/v1/organizations/:organization/session/passkey';
  const params = z.object({ organization: z.string().max(64) });
  const refusals = { '4xx': problemSchema, 503: problemSchema };
  const passkeysOf = async (asked: unknown) => {
    const { organization } = asked as { organization: string };
    return (await services.find(organization))?.passkeys;
  };
  app.route({
    method: 'POST',
    url: `${url}/options`,
    schema: {
      summary: 'What a browser needs to sign in with a passkey, the same for everybody',
      tags: [tag],
      params,
      response: { 200: options, ...refusals },
    },
    handler: async (request, reply) => {
      const begun = await (await passkeysOf(request.params))?.beginSignIn();
      return begun ? reply.send(begun) : refuse(reply, 'not-there');
    },
  });
  app.route({
    method: 'POST',
    url,
    bodyLimit,
    schema: {
      summary: 'Sign in with a passkey',
      tags: [tag],
      params,
      body: signInResponse,
      response: { 201: z.object({ token: z.string(), expires: moment }), ...refusals },
    },
    handler: async (request, reply) => {
      const response = request.body as unknown as AuthenticationResponseJSON;
      const outcome = await (await passkeysOf(request.params))?.signIn(response);
      if (outcome?.kind !== 'signed-in') return refuse(reply, 'sign-in-refused');
      return reply.code(201).send({ token: outcome.token, expires: momentOf(outcome.expiresAtMs) });
    },
  });
}

function shown({ id, name, backedUp, madeAtMs, usedAtMs }: Passkey): z.input<typeof passkeyAnswer> {
  return { id, name, backedUp, made: momentOf(madeAtMs), used: momentOf(usedAtMs) };
}
