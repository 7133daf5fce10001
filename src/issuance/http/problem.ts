import { STATUS_CODES } from 'node:http';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { type FaultCode, isFault } from '#core/fault.ts';

const problemItem = z.object({
  path: z.string().describe('member that is wrong, such as cards.0.userNumber'),
  text: z.string(),
});

/** What every refusal answers (RFC 9457); `type` is a name from a closed set, `problems` what is wrong one by one. */
export const problemSchema = z.object({
  type: z.string().describe('urn:kazasu:problem: and a name'),
  title: z.string(),
  status: z.int(),
  detail: z.string().optional(),
  problems: z.array(problemItem).optional(),
});

/** Names of refusals with the status and the title of each. */
const refusals = {
  'request-invalid': [400, 'The request is not as the interface describes it'],
  unauthenticated: [401, 'Sign in, or show a token that is in force'],
  'sign-in-refused': [
    401,
    'Account, password or one-time password is wrong, or too many tries were made; wait up to 15 minutes',
  ],
  'session-too-old': [
    403,
    'Sign in anew: this is for the first 15 minutes of a session of an account of your own',
  ],
  'passkey-refused': [422, 'The answer of the authenticator is not right, came too late, or was used before'],
  'scope-missing': [403, 'Your roles or the scopes of your token do not allow this'],
  'out-of-reach': [403, 'This concerns groups or terminals of sites that are not yours'],
  'not-there': [404, 'There is no such thing'],
  'too-large': [413, 'It is longer than the server takes'],
  'changed-meanwhile': [412, 'It is not the one that you read: read it again'],
  invalid: [422, 'What is asked for contradicts the rules or other records'],
  'confirmation-missing': [409, 'So many holders lose access that the number must be confirmed'],
  'no-command-key': [409, 'No key of this server may sign commands: see docs/trust.md'],
  'key-reused': [422, 'The Idempotency-Key was used for another request'],
  'condition-missing': [428, 'Say which one you have read: If-Match with its ETag, or If-None-Match: *'],
  busy: [503, 'Too many such requests are under way: come back later'],
  unavailable: [503, 'A database does not answer: come back later'],
  internal: [500, 'The server has failed; its log says why'],
} as const satisfies Readonly<Record<string, readonly [number, string]>>;
export type RefusalName = keyof typeof refusals;

interface RefusalDetails {
  readonly detail?: string;
  readonly problems?: readonly { readonly path: string; readonly text: string }[];
}

/** Answers with a refusal. */
export function refuse(reply: FastifyReply, name: RefusalName, details: RefusalDetails = {}): FastifyReply {
  const [status, title] = refusals[name];
  if (status === 401) reply.header('www-authenticate', 'Bearer');
  if (status === 503 && !reply.hasHeader('retry-after')) reply.header('retry-after', '5');
  return reply
    .code(status)
    .type('application/problem+json')
    .serializer(JSON.stringify)
    .send({ type: `urn:kazasu:problem:${name}`, title, status, ...details });
}

export function isRefusal(name: string): name is RefusalName {
  return Object.hasOwn(refusals, name);
}

const faultsOfDatabase: readonly FaultCode[] = ['database-unavailable', 'database-in-use'];

/** Turns what a handler throws into an answer that tells nothing of the inside. */
export function answerError(error: FastifyError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (hasZodFastifySchemaValidationErrors(error)) {
    const problems = error.validation.map(({ instancePath, message }) => ({
      path: instancePath.replace(/^\//, '').replaceAll('/', '.'),
      text: message ?? 'is wrong',
    }));
    return refuse(reply, 'request-invalid', { problems });
  }
  if (isFault(error, 'argument-invalid')) return refuse(reply, 'invalid', { detail: error.message });
  if (isFault(error, 'deadline-exceeded')) return refuse(reply, 'busy');
  if (isFault(error, ...faultsOfDatabase)) {
    request.log.error({ fault: error.code }, 'a request was not served');
    return refuse(reply, 'unavailable');
  }
  if (typeof error.statusCode === 'number' && error.statusCode < 500) {
    const { statusCode: status } = error;
    return reply
      .code(status)
      .type('application/problem+json')
      .serializer(JSON.stringify)
      .send({ type: 'about:blank', title: STATUS_CODES[status] ?? 'Refused', status });
  }
  request.log.error({ err: error }, 'a request failed');
  return refuse(reply, 'internal');
}
