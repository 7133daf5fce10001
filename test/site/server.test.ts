import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { SiteServer } from '#simulators/site/server.ts';
import { ScriptedBuilding, scriptedDoor } from './scripted-building.ts';

let building: ScriptedBuilding;
let server: SiteServer;
let url: URL;

beforeAll(async () => {
  const pagesDirectory = await mkdtemp(join(tmpdir(), 'kazasu-pages-'));
  await mkdir(join(pagesDirectory, 'site'));
  await writeFile(join(pagesDirectory, 'site', 'index.html'), '<!doctype html><title>page</title>');
  building = new ScriptedBuilding();
  server = new SiteServer({ building, pagesDirectory, runId: 'run', log: pino({ level: 'silent' }) });
  url = new URL(await server.start(0));
});
afterAll(() => server.stop());
beforeEach(() => {
  building.asked.length = 0;
  building.answer = 'done';
});

const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(new URL(path, url), {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });

/** Sends headers that fetch would set by itself; resolves with the answer's head. */
const ask = (headers: Record<string, string>, path = '/api/state') =>
  new Promise<IncomingMessage>((resolve, reject) => {
    const asking = request({ host: '127.0.0.1', port: url.port, path, headers }, resolve);
    asking.once('error', reject);
    asking.end();
  });

/** Reads an event stream until `count` events have come; comments do not count. */
async function readEvents(count: number, headers: Record<string, string> = {}, opened = () => {}) {
  const stop = new AbortController();
  const response = await fetch(new URL('/api/events', url), { headers, signal: stop.signal });
  const events: { id: string; data: { type: string } }[] = [];
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    if (text === '') opened();
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const lines = text.slice(0, end).split('\n');
      text = text.slice(end + 2) || ' ';
      const id = lines
        .find((line) => line.trimStart().startsWith('id: '))
        ?.trim()
        .slice(4);
      const data = lines.find((line) => line.startsWith('data: '))?.slice(6);
      if (id && data) events.push({ id, data: JSON.parse(data) as { type: string } });
    }
    if (events.length >= count) break;
  }
  stop.abort();
  return events;
}

describe('what visitors ask', () => {
  test.each([
    ['/api/cards/valid/hold', { readerId: 'front-reader' }, 'hold valid front-reader'],
    ['/api/cards/valid/take', {}, 'take valid'],
    ['/api/readers/front-reader/keys', { key: 'enter' }, 'key front-reader enter'],
    ['/api/doors/front/visit', { action: 'force' }, 'visit front force'],
    ['/api/rules', { rules: 'always' }, 'rules always'],
    ['/api/deck/reset', {}, 'reset'],
  ])('%s reaches the building', async (path, body, asked) => {
    expect((await post(path, body)).status).toBe(204);
    expect(building.asked).toEqual([asked]);
  });

  test.each([
    ['unknown', 404],
    ['occupied', 409],
    ['not-asked', 409],
    ['busy', 409],
  ] as const)('a refusal as %s is a problem document with status %i', async (answer, status) => {
    building.answer = answer;
    const response = await post('/api/cards/valid/hold', { readerId: 'front-reader' });
    expect(response.status).toBe(status);
    expect(response.headers.get('content-type')).toContain('application/problem+json');
    expect(await response.json()).toMatchObject({ status, type: 'about:blank' });
  });

  test.each([
    ['/api/cards/valid/hold', {}],
    ['/api/cards/valid/hold', { readerId: 'front-reader', extra: 1 }],
    ['/api/readers/front-reader/keys', { key: '12' }],
    ['/api/readers/front-reader/keys', { key: 5 }],
    ['/api/doors/front/visit', { action: 'burn' }],
    ['/api/rules', { rules: 'none' }],
  ])('%s with %j is refused with the place of the error', async (path, body) => {
    const response = await post(path, body);
    expect(response.status).toBe(400);
    const problem = (await response.json()) as { errors: { message: string }[] };
    expect(problem.errors.length).toBeGreaterThan(0);
    expect(building.asked).toEqual([]);
  });

  test('a body that is no JSON, too long, or of another type is refused', async () => {
    const headers = { 'content-type': 'application/json' };
    const send = (body: string, type = headers) =>
      fetch(new URL('/api/rules', url), { method: 'POST', headers: type, body });
    expect((await send('{')).status).toBe(400);
    expect((await send(JSON.stringify({ rules: 'x'.repeat(9_000) }))).status).toBe(413);
    expect((await send('rules=always', { 'content-type': 'text/plain' })).status).toBe(415);
    expect(building.asked).toEqual([]);
  });

  test('journal pages are bounded', async () => {
    const get = (query: string) => fetch(new URL(`/api/journal${query}`, url));
    expect((await get('?before=10&limit=5')).status).toBe(200);
    expect((await get('?limit=201')).status).toBe(400);
    expect((await get('?before=0')).status).toBe(400);
    expect(building.asked).toEqual(['entries 10 5']);
  });
});

describe('who may ask', () => {
  test.each([
    ['another name for this machine', { host: 'attacker.example' }],
    ['another port', { host: '127.0.0.1:1' }],
    ['this machine without the port', { host: 'localhost' }],
  ])('%s is refused', async (_name, headers) => {
    expect((await ask(headers)).statusCode).toBe(403);
  });

  test('a request of a foreign page is refused, one of the page itself is served', async () => {
    const host = url.host;
    expect((await ask({ host, origin: 'https://attacker.example' })).statusCode).toBe(403);
    expect((await ask({ host, 'sec-fetch-site': 'cross-site' })).statusCode).toBe(403);
    expect((await ask({ host, origin: `http://${host}` })).statusCode).toBe(200);
    expect((await ask({ host: `localhost:${url.port}` })).statusCode).toBe(200);
    expect((await ask({ host: 'attacker.example' }, '/api/events')).statusCode).toBe(403);
  });

  test('the page comes with a policy that allows no inline script', async () => {
    const response = await fetch(url);
    expect(await response.text()).toContain('<title>page</title>');
    const policy = response.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("script-src 'self';");
    expect(policy).toContain("default-src 'none'");
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
  });

  test('it listens on this machine alone, and a port in use is a clear fault', async () => {
    expect(url.hostname).toBe('127.0.0.1');
    const second = new SiteServer({
      building,
      pagesDirectory: tmpdir(),
      runId: 'second',
      log: pino({ level: 'silent' }),
    });
    await expect(second.start(Number(url.port))).rejects.toMatchObject({
      code: 'argument-invalid',
      message: expect.stringContaining(url.port),
    });
  });
});

describe('events', () => {
  test('a new page gets a snapshot, then each change, numbered', async () => {
    const events = await readEvents(2, {}, () =>
      building.emit({ type: 'door', door: scriptedDoor('front') }),
    );
    expect(events.map((event) => event.data.type)).toEqual(['snapshot', 'door']);
    const [first, second] = events.map((event) => Number(event.id.split(':')[1]));
    expect(second).toBe((first ?? 0) + 1);
  });

  test('a page that comes back gets what it missed', async () => {
    const [first] = await readEvents(1);
    building.emit({ type: 'door', door: scriptedDoor('front', { contact: 'open' }) });
    building.emit({ type: 'door', door: scriptedDoor('front') });
    const missed = await readEvents(2, { 'last-event-id': first?.id ?? '' });
    expect(missed.map((event) => event.data)).toMatchObject([
      { type: 'door', door: { contact: 'open' } },
      { type: 'door', door: { contact: 'closed' } },
    ]);
  });

  test.each(['other-run:1', 'run:999999', 'run:', 'nonsense'])(
    'a page that comes back with %s gets a snapshot',
    async (id) => {
      const [first] = await readEvents(1, { 'last-event-id': id });
      expect(first?.data.type).toBe('snapshot');
    },
  );

  test('a page away for too long gets a snapshot', async () => {
    const [first] = await readEvents(1);
    for (let i = 0; i < 300; i += 1) building.emit({ type: 'door', door: scriptedDoor('front') });
    const [next] = await readEvents(1, { 'last-event-id': first?.id ?? '' });
    expect(next?.data.type).toBe('snapshot');
  });
});
