import { type Agent, type RequestOptions, request } from 'node:https';
import { isUntrustedPeer } from '#adapters/process/untrusted-peer.ts';
import { concat } from '#core/bytes/bytes.ts';
import { Fault, isFault } from '#core/fault.ts';
import type { DeviceIdentity } from '#core/sync/device-identity.ts';

/** What is shown to the other side (PEM), and by which authority alone it is believed. */
export type TlsIdentity = Pick<RequestOptions, 'ca' | 'cert' | 'key'>;

/** nothing heard for so long, also while it is being connected, is no answer */
const silentMs = 15_000;

export interface ExchangeOptions {
  readonly tls: TlsIdentity;
  /** sent as JSON by POST; where absent the request is a GET */
  readonly body?: object;
  /** connections that are kept; where absent this one is closed */
  readonly agent?: Agent;
  /** of the whole, in milliseconds */
  readonly withinMs: number;
  readonly mostBytes: number;
}

export interface HttpsAnswer {
  readonly status: number;
  readonly bytes: Uint8Array;
  /** header `Retry-After` */
  readonly retryAfter?: string;
}

/** One request over TLS 1.3. Rejects with `server-unreachable` and `server-untrusted`. */
export async function exchange(url: URL, options: ExchangeOptions): Promise<HttpsAnswer> {
  try {
    return await send(url, options);
  } catch (error) {
    throw requestFault(url, error);
  }
}

/** Asks each server in turn until one answers; that somebody stands in between is worse to hear of than absence. */
export async function askInTurn<T>(
  servers: readonly string[],
  ask: (server: string) => Promise<T>,
): Promise<T> {
  let fault: Fault | undefined;
  for (const server of servers) {
    try {
      return await ask(server);
    } catch (error) {
      if (!isFault(error, 'server-unreachable', 'server-untrusted')) throw error;
      if (fault?.code !== 'server-untrusted') fault = error;
    }
  }
  throw fault ?? new Fault('server-unreachable', 'no server is named');
}

/** What a device shows to its servers: its certificate and those above it but the platform's, which they have. */
export function shownBy({
  authority,
  certificates,
  privateKey,
}: Pick<DeviceIdentity, 'authority' | 'certificates' | 'privateKey'>): TlsIdentity {
  const cert = certificates.slice(0, -1).map(pemOf).join('');
  return { ca: pemOf(authority), cert, key: privateKey };
}

/** A certificate in base64 (DER) as PEM. */
export function pemOf(base64: string): string {
  const lines = base64.match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}

function send(url: URL, { tls, body, agent, withinMs, mostBytes }: ExchangeOptions): Promise<HttpsAnswer> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers = text === undefined ? {} : { 'content-type': 'application/json' };
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      {
        ...tls,
        method: text === undefined ? 'GET' : 'POST',
        headers: text === undefined ? headers : { ...headers, 'content-length': Buffer.byteLength(text) },
        minVersion: 'TLSv1.3',
        agent: agent ?? false,
        timeout: silentMs,
      },
      (answer) => {
        const parts: Buffer[] = [];
        let length = 0;
        answer.on('data', (part: Buffer) => {
          length += part.length;
          if (length > mostBytes) sent.destroy(new Error('the answer is too long'));
          else parts.push(part);
        });
        answer.on('error', reject);
        answer.on('end', () => {
          const retryAfter = answer.headers['retry-after'];
          resolve({
            status: answer.statusCode ?? 0,
            bytes: concat(...parts),
            ...(retryAfter !== undefined && { retryAfter }),
          });
        });
      },
    );
    const late = setTimeout(() => sent.destroy(new Error('the answer takes too long')), withinMs);
    sent.on('close', () => clearTimeout(late));
    sent.on('timeout', () => sent.destroy(new Error('the server is silent')));
    sent.on('error', (error: NodeJS.ErrnoException) => {
      // the server may close a kept connection while it is taken up again (RFC 9112, 9.3.1): asked anew, nothing is lost
      if (sent.reusedSocket && error.code === 'ECONNRESET' && text === undefined)
        resolve(send(url, { tls, withinMs, mostBytes }));
      else reject(error);
    });
    sent.end(text);
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
