import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { fromBase64, toBase64 } from '#core/bytes/base64.ts';
import { fromHex } from '#core/bytes/bytes.ts';
import { bucketOf } from '#core/sync/bucket.ts';
import {
  type CertificateAnswer,
  enrolmentRequestSchema,
  renewalRequestSchema,
} from '#core/sync/enrolment.ts';
import type { Admission, TerminalPeer } from './admission.ts';
import type { KeyClaim } from './terminal-certificates.ts';
import { againAfterMs, type Certification, type Terminals } from './terminals.ts';

export interface TerminalRoutesParts {
  /** undefined where there is no such organization */
  readonly terminals: (organization: string) => Promise<Terminals | undefined>;
  /** who shows a verified certificate of a terminal; undefined for anybody else */
  readonly peer: (request: FastifyRequest) => TerminalPeer | undefined;
  readonly admission: Admission;
  readonly brokers: CertificateAnswer['brokers'];
}

/** how soon it is asked again whether a clock was put right */
const clockAgainSeconds = 600;
/** two keys and a proof, with room to spare */
const bodyLimit = 16_384;
const refusals = {
  malformed: [400, 'The request is not as the interface describes it'],
  // no word of which it was: a guess must learn nothing
  refused: [403, 'This enrolment is refused: ask for a new one'],
  early: [503, 'Half of the life of the certificate must be over: try again later'],
  clock: [503, 'Most terminals have another time than this server: try again when its clock is right'],
  certificate: [401, 'A certificate of a terminal is needed that is not revoked'],
} as const;

/** What devices ask for over HTTPS to become terminals and to stay so. */
export function addTerminalRoutes(app: FastifyInstance, parts: TerminalRoutesParts): void {
  app.post('/terminal/v1/enrolment', { bodyLimit }, async (request, reply) => {
    const asked = enrolmentRequestSchema.safeParse(request.body);
    if (!asked.success) return refuse(reply, 'malformed');
    const { organization, terminal, secret } = asked.data;
    const terminals = await parts.terminals(organization);
    const result = await terminals?.enrol(terminal, { secret, claim: claimOf(asked.data) });
    if (result?.kind !== 'certified') {
      request.log.warn(
        { organization, terminal, reason: result?.reason ?? 'organization' },
        'enrolment refused',
      );
      return result?.reason === 'clock' ? refuseForClock(reply) : refuse(reply, 'refused');
    }
    request.log.info({ organization, terminal }, 'terminal enrolled');
    return reply.send(answer(result, inTurn(parts.brokers, terminal)));
  });

  app.post('/terminal/v1/renewal', { bodyLimit }, async (request, reply) => {
    const peer = parts.peer(request);
    if (!peer || !parts.admission.admits(peer)) return refuse(reply, 'certificate');
    const asked = renewalRequestSchema.safeParse(request.body);
    if (!asked.success) return refuse(reply, 'malformed');
    const { organization, terminal } = peer.identity;
    const terminals = await parts.terminals(organization);
    const renewal = { shown: peer.serialNumber, claim: claimOf(asked.data) };
    const result = await terminals?.renew(terminal, renewal);
    if (result?.kind !== 'certified') {
      request.log.warn(
        { organization, terminal, reason: result?.reason ?? 'organization' },
        'renewal refused',
      );
      if (result?.reason === 'clock') return refuseForClock(reply);
      if (result?.reason !== 'early') return refuse(reply, 'refused');
      return refuse(reply.header('retry-after', String(againAfterMs / 1_000)), 'early');
    }
    return reply.send(answer(result, inTurn(parts.brokers, terminal)));
  });
}

function claimOf(sent: {
  readonly request: string;
  readonly deviceKey: string;
  readonly proof: string;
}): KeyClaim {
  return {
    request: fromBase64(sent.request) ?? new Uint8Array(),
    deviceKey: fromBase64(sent.deviceKey) ?? new Uint8Array(),
    proof: fromHex(sent.proof),
  };
}

function answer(
  { chain }: Extract<Certification, { kind: 'certified' }>,
  brokers: CertificateAnswer['brokers'],
): CertificateAnswer {
  return { format: 1, certificates: chain.map(toBase64), brokers };
}

/** Each terminal begins at another broker, so that each has its share of them, and of those that another one lost. */
function inTurn<T>(brokers: readonly T[], terminal: string): T[] {
  const from = bucketOf(terminal, 16) % brokers.length;
  return [...brokers.slice(from), ...brokers.slice(0, from)];
}

function refuseForClock(reply: FastifyReply): FastifyReply {
  return refuse(reply.header('retry-after', String(clockAgainSeconds)), 'clock');
}

function refuse(reply: FastifyReply, name: keyof typeof refusals): FastifyReply {
  const [status, title] = refusals[name];
  return reply
    .code(status)
    .type('application/problem+json')
    .send(JSON.stringify({ type: `urn:kazasu:problem:enrolment-${name}`, title, status }));
}
