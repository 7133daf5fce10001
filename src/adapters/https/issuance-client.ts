import { type RequestOptions, request } from 'node:https';
import { isUntrustedPeer } from '#adapters/process/untrusted-peer.ts';
import { Fault, isFault } from '#core/fault.ts';
import type { DeviceIdentity } from '#core/sync/device-identity.ts';
import {
  certificateAnswerSchema,
  type EnrolmentFile,
  type EnrolmentRequest,
  type RenewalRequest,
} from '#core/sync/enrolment.ts';
import type { IssuanceClient, IssuanceReply } from '#ports/issuance-client.ts';

/** of one try, in milliseconds */
const answerWithinMs = 20_000;
const mostAnswerBytes = 65_536;
/** Asks each server of an enrolment in turn, over TLS 1.3 that its authority alone vouches for. */
export class HttpsIssuanceClient implements IssuanceClient {
  enrol({ servers, authority }: EnrolmentFile, body: EnrolmentRequest): Promise<IssuanceReply> {
    return askAny(servers, '/terminal/v1/enrolment', { ca: pem(authority) }, body);
  }

  renew(
    { servers, authority, certificates, privateKey }: DeviceIdentity,
    body: RenewalRequest,
  ): Promise<IssuanceReply> {
    const cert = certificates.slice(0, -1).map(pem).join('');
    return askAny(servers, '/terminal/v1/renewal', { ca: pem(authority), cert, key: privateKey }, body);
  }
}

async function askAny(
  servers: readonly string[],
  path: string,
  tls: Pick<RequestOptions, 'ca' | 'cert' | 'key'>,
  body: object,
): Promise<IssuanceReply> {
  let fault: Fault | undefined;
  for (const server of servers) {
    try {
      return await ask(new URL(path, server), tls, body);
    } catch (error) {
      if (!isFault(error)) throw error;
      // that somebody stands in between is worse to hear of than that another is away
      if (fault?.code !== 'server-untrusted') fault = error;
    }
  }
  throw fault ?? new Fault('server-unreachable', 'no server is named');
}

async function ask(
  url: URL,
  tls: Pick<RequestOptions, 'ca' | 'cert' | 'key'>,
  body: object,
): Promise<IssuanceReply> {
  const { status, text } = await post(url, tls, JSON.stringify(body)).catch((error: unknown) => {
    throw requestFault(url, error);
  });
  if (status === 401 || status === 403) return { kind: 'refused' };
  const answer = status === 200 ? certificateAnswerSchema.safeParse(parse(text)) : undefined;
  if (!answer?.success) {
    throw new Fault(
      'server-unreachable',
      `the server ${url.origin} does not answer as it should (status ${status})`,
    );
  }
  return { kind: 'answered', answer: answer.data };
}

function post(
  url: URL,
  tls: Pick<RequestOptions, 'ca' | 'cert' | 'key'>,
  body: string,
): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const options = { ...tls, method: 'POST', headers, minVersion: 'TLSv1.3', agent: false } as const;
    const sent = request(url, { ...options, signal: AbortSignal.timeout(answerWithinMs) }, (answer) => {
      const chunks: Buffer[] = [];
      let length = 0;
      answer.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length > mostAnswerBytes) sent.destroy(new Error('the answer is too long'));
        else chunks.push(chunk);
      });
      answer.on('error', reject);
      answer.on('end', () =>
        resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }),
      );
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

function requestFault({ origin }: URL, error: unknown): Fault {
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
  const why = code === '' ? '' : ` (${code})`;
  return isUntrustedPeer(code)
    ? new Fault('server-untrusted', `${origin} shows a certificate that is not accepted${why}`, {
        cause: error,
      })
    : new Fault('server-unreachable', `the server ${origin} is not reached${why}`, { cause: error });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function pem(base64: string): string {
  const lines = base64.match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}
