import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { HttpsChunkSource } from '#adapters/https/chunk-source.ts';
import type { TlsCredentials } from '#adapters/mqtt/credentials.ts';
import type { WantedChunk } from '#ports/policy-sync.ts';
import { makePki, type TestPki, terminalCredentials } from '../trust/test-pki.ts';

const base64Of = (pem: string): string[] =>
  pem.split('-----END CERTIFICATE-----').flatMap((part) => {
    const text = part.replace('-----BEGIN CERTIFICATE-----', '').replaceAll(/\s/g, '');
    return text === '' ? [] : [text];
  });

/** What an enrolled device keeps of who it is. */
function identityOf({ certificates, privateKey, authorities }: TlsCredentials, servers: readonly string[]) {
  const [authority = ''] = base64Of(authorities);
  return {
    servers: [...servers],
    authority,
    certificates: [...base64Of(certificates), authority],
    privateKey,
  };
}

const hash = (digit: number): string => String(digit % 10).repeat(64);
const bucket = (number: number): WantedChunk => ({ kind: 'bucket', hash: hash(number), bucket: number });
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('chunks and roots over HTTPS', () => {
  let pki: TestPki;
  let shown: TlsCredentials;
  let servers: Server[];
  let asked: string[];
  let answer: (path: string, request: IncomingMessage, response: ServerResponse) => void;

  beforeAll(async () => {
    pki = await makePki();
    shown = await terminalCredentials(pki, { organization: 'city', terminal: 'lobby' });
  });
  beforeEach(() => {
    servers = [];
    asked = [];
    answer = (path, _, response) => response.end(`of ${path}`);
  });
  afterEach(async () => {
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    }
  });

  async function listen(credentials = pki.server): Promise<string> {
    const { certificates: cert, privateKey: key } = credentials;
    const server = createServer(
      { cert, key, ca: pki.authorities, requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' },
      (request, response) => {
        const path = request.url ?? '';
        asked.push(path);
        answer(path, request, response);
      },
    );
    servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return `https://localhost:${(server.address() as AddressInfo).port}`;
  }

  let nowUs = 0;
  const source = (...urls: readonly string[]) =>
    new HttpsChunkSource({
      identity: () => identityOf(shown, urls),
      clock: { monotonicUs: () => nowUs },
      random: () => 0,
    });
  const nobody = 'https://localhost:1';

  it('come in the order in which they were asked for, to who shows the certificate', async () => {
    const url = await listen();
    const names = new Set<unknown>();
    answer = (path, request, response) => {
      names.add((request.socket as TLSSocket).getPeerCertificate().subject?.CN);
      setImmediate(() => response.end(`of ${path}`));
    };
    const wanted: WantedChunk[] = [
      { kind: 'rules', hash: hash(1) },
      { kind: 'index', hash: hash(2) },
      ...Array.from({ length: 40 }, (_, number) => bucket(number)),
    ];
    const answers = await source(url).fetch(wanted);
    const path = ({ kind, hash }: WantedChunk) =>
      `/terminal/v1/${kind === 'index' ? 'index' : 'chunks'}/${hash}`;
    expect(answers).toEqual(wanted.map((one) => ({ kind: 'chunk', bytes: bytes(`of ${path(one)}`) })));
    expect([...names]).toEqual(['lobby']);
    expect(await source(url).fetch([])).toEqual([]);
  });

  it('that are no more are told apart from those that come later, and nobody is asked on then', async () => {
    const url = await listen();
    answer = (path, _, response) => {
      if (path.endsWith('0')) response.writeHead(404).end();
      else response.writeHead(503, { 'retry-after': '7' }).end();
    };
    const answers = await source(url).fetch([bucket(0), ...Array.from({ length: 200 }, () => bucket(1))]);
    expect(answers[0]).toEqual({ kind: 'gone' });
    expect(new Set(answers.slice(1).map((one) => JSON.stringify(one)))).toEqual(
      new Set([JSON.stringify({ kind: 'later', afterMs: 7_000 })]),
    );
    expect(asked.length).toBeLessThan(10);
  });

  it.each([
    ['0', 1_000],
    ['99999', 600_000],
    ['Wed, 21 Oct 2026 07:28:00 GMT', 2_000],
    [undefined, 2_000],
  ])('wait for a time within bounds where the server says %s', async (retryAfter, afterMs) => {
    const url = await listen();
    answer = (_, __, response) =>
      response.writeHead(429, retryAfter === undefined ? {} : { 'retry-after': retryAfter }).end();
    expect(await source(url).fetch([bucket(1)])).toEqual([{ kind: 'later', afterMs }]);
  });

  it('that came are not lost with those that did not', async () => {
    const url = await listen();
    answer = (path, request, response) => {
      if (path.endsWith('1')) response.end('one');
      else request.socket.destroy();
    };
    expect(await source(url).fetch([bucket(1), bucket(2)])).toEqual([
      { kind: 'chunk', bytes: bytes('one') },
      { kind: 'later', afterMs: 2_000 },
    ]);
    await expect(source(url).fetch([bucket(2)])).rejects.toMatchObject({ code: 'server-unreachable' });
  });

  it('longer than any can be are not taken into memory', async () => {
    const url = await listen();
    let sent = 0;
    answer = (_, request, response) => {
      const more = (): void => {
        if (request.socket.destroyed || sent > 64 * 1_048_576) return void response.end();
        sent += 65_536;
        response.write(Buffer.alloc(65_536), () => more());
      };
      more();
    };
    await expect(source(url).fetch([bucket(1)])).rejects.toMatchObject({ code: 'server-unreachable' });
    expect(sent).toBeLessThan(32 * 1_048_576);
  });

  it('come from the next server where the first is away, which is tried first again later', async () => {
    const second = await listen();
    const one = source(nobody, second);
    expect((await one.fetch([bucket(1)]))[0]?.kind).toBe('chunk');
    const first = await listen();
    const both = new HttpsChunkSource({
      identity: () => identityOf(shown, [current, second]),
      clock: { monotonicUs: () => nowUs },
      random: () => 0,
    });
    let current = nobody;
    const served = (): string => {
      const at = servers.findIndex((server) => String((server.address() as AddressInfo).port) === lastPort);
      return at === 0 ? 'second' : 'first';
    };
    let lastPort = '';
    answer = (_, request, response) => {
      lastPort = String(request.socket.localPort);
      response.end('x');
    };
    await both.fetch([bucket(1)]);
    expect(served()).toBe('second');
    current = first;
    await both.fetch([bucket(1)]);
    expect(served()).toBe('second');
    nowUs += 300_000_000;
    await both.fetch([bucket(1)]);
    expect(served()).toBe('first');
  });

  it('are not asked of somebody else who stands there', async () => {
    const impostor = await listen((await makePki()).server);
    await expect(source(impostor).fetch([bucket(1)])).rejects.toMatchObject({ code: 'server-untrusted' });
    expect(asked).toEqual([]);
  });

  it('go on over a connection that the server has closed meanwhile', async () => {
    const url = await listen();
    const one = source(url);
    await one.fetch([bucket(1), bucket(2), bucket(3), bucket(4)]);
    for (const server of servers) server.closeIdleConnections();
    expect((await one.fetch([bucket(5)]))[0]?.kind).toBe('chunk');
  });

  it('bring the roots after one, each by its version, until there is none', async () => {
    const url = await listen();
    answer = (path, _, response) =>
      /\/(4|5)$/.test(path) ? response.end(`root ${path.at(-1)}`) : response.writeHead(404).end();
    expect(await source(url).roots(3)).toEqual([bytes('root 4'), bytes('root 5')]);
    expect(asked).toEqual(['/terminal/v1/roots/4', '/terminal/v1/roots/5', '/terminal/v1/roots/6']);
    answer = (_, __, response) => response.writeHead(401).end();
    await expect(source(url).roots(3)).rejects.toMatchObject({ code: 'server-unreachable' });
  });
});
