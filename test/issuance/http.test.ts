import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Role } from '#issuance/administrators/roles.ts';
import { HttpServer } from '#issuance/http/server.ts';
import { Services } from '#issuance/services.ts';
import { TerminalRegister } from '#issuance/terminals/terminal-register.ts';
import { testKeys } from '../core/sync/keys.ts';
import { databaseRigs, type StartedRig } from './database-rigs.ts';
import { commissioner, makeOrganization, rulesDocument, shownByApp } from './organization-bench.ts';

interface Reply {
  readonly status: number;
  readonly body: { readonly [key: string]: unknown };
  readonly headers: Headers;
}

const taro = { groups: ['staff'], cards: [{ profileId: 'type-a', userNumber: 'USER0001' }] };

describe.each(databaseRigs)('the HTTP interface on $name', ({ name, start }) => {
  let rig: StartedRig;
  let folder: string;
  let city: Awaited<ReturnType<typeof makeOrganization>>;
  let server: HttpServer;
  let url: string;
  let admin: string;
  const logged: string[] = [];

  beforeAll(async () => {
    rig = await start();
    folder = mkdtempSync(join(tmpdir(), 'kazasu-http-'));
    city = await makeOrganization(rig, 'city');
    await city.organizations.create({ id: 'university', name: '大学' }, commissioner);
    const services = new Services({
      ...city.shared,
      organizations: city.organizations,
      alarm: () => undefined,
      commandKeys: async () => ({ signers: testKeys.command }),
    });
    server = new HttpServer({
      services,
      log: pino({ level: 'debug' }, { write: (line: string) => logged.push(line) }),
      checkHealth: async () => {
        await city.organizations.list();
      },
      version: '1.2.3',
      lists: { directory: folder, look: () => undefined },
      requestTimeoutMs: 1_000,
    });
    url = await server.start({ host: '127.0.0.1', port: 0 });
    admin = await signIn('admin', ['organization-admin']);
    const made = await call('POST', '/rules', { token: admin, body: { document: rulesDocument } });
    expect(made.status).toBe(200);
  });
  afterAll(async () => {
    await server.stop();
    await city.databases.stop();
    await rig.stop();
    rmSync(folder, { recursive: true });
  });

  const call = async (
    method: string,
    path: string,
    {
      token,
      body,
      headers = {},
      organization = 'city',
    }: { token?: string; body?: unknown; headers?: Record<string, string>; organization?: string } = {},
  ): Promise<Reply> => {
    const reply = await fetch(`${url}/api/v1/organizations/${organization}${path}`, {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await reply.text();
    return { status: reply.status, headers: reply.headers, body: text === '' ? {} : JSON.parse(text) };
  };
  const signIn = async (id: string, roles: readonly Role[], sites: readonly string[] = []) => {
    const made = await city.administrators.create(
      { id, name: id, roles, sites, breakGlass: false },
      commissioner,
    );
    const { password, oneTimePasswordAddress } = made.credentials;
    const oneTimePassword = shownByApp(oneTimePasswordAddress, city.clock.utcMs());
    const reply = await call('POST', '/session', { body: { administrator: id, password, oneTimePassword } });
    return reply.body.token as string;
  };
  const none = { 'if-none-match': '*' };
  const make = (id: string, userNumber: string) =>
    call('PUT', `/holders/${id}`, {
      token: admin,
      headers: none,
      body: { ...taro, cards: [{ profileId: 'type-a', userNumber }] },
    });

  it('signs in, tells who it is, and signs out', async () => {
    const token = await signIn('jiro', ['operator']);
    expect((await call('GET', '/session', { token })).body).toMatchObject({ id: 'jiro', via: 'session' });
    expect((await call('DELETE', '/session', { token })).status).toBe(204);
    expect((await call('GET', '/session', { token })).status).toBe(401);
    const wrong = { administrator: 'jiro', password: 'x' };
    const refused = await call('POST', '/session', { body: wrong });
    expect([refused.status, refused.body.type]).toEqual([401, 'urn:kazasu:problem:sign-in-refused']);
    const unknown = await call('POST', '/session', { body: wrong, organization: 'nowhere' });
    expect(unknown.body).toEqual(refused.body);
  });

  it('lets nobody in without a token of this organization', async () => {
    for (const token of [undefined, 'kzs_x', `kzs_${'A'.repeat(43)}`, `${admin}x`]) {
      expect((await call('GET', '/holders', token === undefined ? {} : { token })).status).toBe(401);
    }
    for (const organization of ['university', 'nowhere', '..%2Fcity']) {
      expect((await call('GET', '/holders', { token: admin, organization })).status).toBe(401);
    }
  });

  it('lets each role do its own', async () => {
    const operator = await signIn('saburo', ['operator']);
    await make('of-roles', 'USER0100');
    expect((await call('GET', '/holders', { token: operator })).status).toBe(200);
    const suspended = await call('PUT', '/holders/of-roles/suspension', { token: operator, body: {} });
    expect(suspended.body.suspended).toMatchObject({ by: 'saburo' });
    const lifted = await call('DELETE', '/holders/of-roles/suspension', { token: operator });
    expect(lifted.status).toBe(403);
    const written = await call('PUT', '/holders/x', { token: operator, headers: none, body: taro });
    expect([written.status, written.body.type]).toEqual([403, 'urn:kazasu:problem:scope-missing']);
    const auditor = await signIn('auditor', ['auditor']);
    expect((await call('GET', '/audit', { token: auditor })).status).toBe(200);
    expect((await call('PUT', '/holders/of-roles/suspension', { token: auditor, body: {} })).status).toBe(
      403,
    );
  });

  it('keeps facilities administrators to their sites', async () => {
    const site = { name: '別館', groups: ['annex'], terminals: [] };
    expect((await call('PUT', '/sites/annex', { token: admin, headers: none, body: site })).status).toBe(200);
    const token = await signIn('shiro', ['facilities-admin'], ['annex']);
    const staff = await call('PUT', '/holders/shiros', { token, headers: none, body: taro });
    expect([staff.status, staff.body.type]).toEqual([403, 'urn:kazasu:problem:out-of-reach']);
    const body = { groups: ['annex'], cards: [{ profileId: 'type-a', userNumber: 'USER0200' }] };
    expect((await call('PUT', '/holders/shiros', { token, headers: none, body })).status).toBe(200);
  });

  it('takes commands of those who may give them, for terminals they reach, and shows what came of them', async () => {
    for (const terminal of ['front', 'back'])
      await city.ledger.db
        .insertInto('terminals')
        .values({ terminal_id: terminal, name: terminal, made_at_ms: 0 })
        .execute();
    const site = { name: '裏口', groups: [], terminals: ['back'] };
    await call('PUT', '/sites/rear', { token: admin, headers: none, body: site });
    const body = { action: { kind: 'unlock-once', door: 'main' }, reason: '来客' };
    const give = (token: string, terminal: string, more: object = {}) =>
      call('POST', `/terminals/${terminal}/commands`, { token, body: { ...body, ...more } });
    const operator = await signIn('goro', ['operator']);
    const given = await give(operator, 'front');
    expect([given.status, given.body]).toMatchObject([
      202,
      { issuedBy: 'goro', reason: '来客', terminals: [{ terminal: 'front', state: 'waiting' }] },
    ]);
    expect((await give(operator, 'nowhere')).status).toBe(404);
    expect((await give(operator, 'front', { reason: '' })).status).toBe(400);
    expect((await give(operator, 'front', { action: { kind: 'open-sesame' } })).status).toBe(400);
    const rear = await signIn('rokuro', ['facilities-admin'], ['rear']);
    const beyond = await give(rear, 'front');
    expect([beyond.status, beyond.body.type]).toEqual([403, 'urn:kazasu:problem:out-of-reach']);
    const lockdown = { action: { kind: 'lockdown' }, reason: '不審者', to: { sites: ['rear'] } };
    const own = await call('POST', '/commands', { token: rear, body: lockdown });
    expect(own.body).toMatchObject({ terminals: [{ terminal: 'back' }] });
    expect((await call('GET', `/commands/${given.body.id}`, { token: rear })).status).toBe(404);
    expect((await call('GET', '/commands', { token: rear })).body.items).toMatchObject([{ id: own.body.id }]);
    const auditor = await signIn('shichiro', ['auditor']);
    expect((await give(auditor, 'front')).status).toBe(403);
    const seen = await call('GET', `/commands/${given.body.id}`, { token: auditor });
    expect(seen.body).toMatchObject({ action: body.action, terminals: [{ state: 'waiting' }] });
    const many = { ...body, to: { terminals: ['front', 'back'] } };
    const refused = await call('POST', '/commands', { token: operator, body: many });
    expect([refused.status, refused.body.problems]).toMatchObject([422, [{ path: 'to' }]]);
    await city.ledger.db.deleteFrom('terminals').execute();
  });

  it('changes what was read, and nothing else', async () => {
    const made = await make('etag', 'USER0300');
    const etag = made.headers.get('etag') ?? '';
    expect(made.status).toBe(200);
    const body = { ...taro, groups: ['cleaning'], cards: [] };
    const put = (headers: Record<string, string>) =>
      call('PUT', '/holders/etag', { token: admin, body, headers });
    expect((await put({})).status).toBe(428);
    expect((await put(none)).status).toBe(412);
    expect((await put({ 'if-match': '"1"' })).status).toBe(412);
    expect((await put({ 'if-match': 'W/"1"' })).status).toBe(428);
    const changed = await put({ 'if-match': etag });
    expect(changed.body).toMatchObject({ groups: ['cleaning'], cards: [] });
    expect((await put({ 'if-match': etag })).status).toBe(412);
    const gone = { 'if-match': changed.headers.get('etag') ?? '' };
    expect((await call('DELETE', '/holders/etag', { token: admin, headers: gone })).status).toBe(204);
    expect((await call('GET', '/holders/etag', { token: admin })).status).toBe(404);
  });

  it('tells everything wrong with a request, and repeats no user number', async () => {
    const malformed = await call('PUT', '/holders/x', {
      token: admin,
      headers: none,
      body: { groups: 'staff', more: 1 },
    });
    expect([malformed.status, malformed.body.type]).toEqual([400, 'urn:kazasu:problem:request-invalid']);
    const cards = [{ profileId: 'type-a', userNumber: '１２３４' }];
    const wrong = await call('PUT', '/holders/x', {
      token: admin,
      headers: none,
      body: { groups: ['a', 'staff'], cards },
    });
    expect(wrong.status).toBe(422);
    expect(wrong.headers.get('content-type')).toBe('application/problem+json');
    expect(wrong.body.problems).toMatchObject([{ path: 'groups.0' }, { path: 'cards.0.userNumber' }]);
    expect(JSON.stringify(wrong.body)).not.toContain('１２３４');
  });

  it('does once what is asked twice with one key', async () => {
    const headers = { ...none, 'idempotency-key': 'request-1' };
    const body = { groups: ['staff'], cards: [{ profileId: 'type-a', userNumber: 'USER0400' }] };
    const ask = (id: string, more: object = {}) =>
      call('PUT', `/holders/${id}`, { token: admin, headers, body: { ...body, ...more } });
    const first = await ask('once');
    expect(await ask('once')).toMatchObject({ status: 200, body: first.body });
    expect((await ask('once', { groups: [] })).body.type).toBe('urn:kazasu:problem:key-reused');
    expect((await ask('other')).status).toBe(422);
    const malformed = await call('PUT', '/holders/once', {
      token: admin,
      headers: { ...none, 'idempotency-key': 'a b' },
      body,
    });
    expect(malformed.status).toBe(400);
  });

  it('gives lists page by page', async () => {
    for (let index = 0; index < 5; index += 1) await make(`page-${index}`, `USER050${index}`);
    const seen: string[] = [];
    for (let cursor = ''; ; ) {
      const page = await call('GET', `/holders?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`, {
        token: admin,
      });
      const { items, next } = page.body as unknown as { items: { holderId: string }[]; next: string | null };
      expect(items.length).toBeLessThanOrEqual(2);
      seen.push(...items.map(({ holderId }) => holderId));
      if (next === null) break;
      cursor = next;
    }
    expect(seen.filter((id) => id.startsWith('page-'))).toHaveLength(5);
    expect(seen).toEqual([...new Set(seen)].sort());
    const found = await call('POST', '/holders/search', { token: admin, body: { userNumber: 'USER0502' } });
    expect(found.body.items).toMatchObject([{ holderId: 'page-2' }]);
  });

  it('plans for a day, compares and rehearses', async () => {
    await make('planned', 'USER0600');
    const april1 = new Date(city.clock.utcMs() + 86_400_000).toISOString();
    const made = await call('POST', '/change-sets', {
      token: admin,
      body: { title: '4月1日', inForceFrom: april1 },
    });
    const id = made.body.id as string;
    const body = { groups: ['annex'], cards: [{ profileId: 'type-a', userNumber: 'USER0600' }] };
    const unread = await call('PUT', `/holders/planned?changeSet=${id}`, {
      token: admin,
      headers: none,
      body,
    });
    expect(unread.status).toBe(412);
    const read = (await call('GET', '/holders/planned', { token: admin })).headers.get('etag') ?? '';
    const planned = await call('PUT', `/holders/planned?changeSet=${id}`, {
      token: admin,
      headers: { 'if-match': read },
      body,
    });
    expect(planned.body).toEqual({ plannedIn: id });
    const at = `/holders/planned/at?moment=${encodeURIComponent(april1)}`;
    const before = await call('GET', at, { token: admin });
    expect(before.body).toMatchObject({ holder: { groups: ['staff'] } });
    const changes = await call('GET', `/change-sets/${id}/changes`, { token: admin });
    expect(changes.body.items).toMatchObject([
      { holderId: 'planned', change: { join: ['annex'], leave: ['staff'] } },
    ]);
    const etag = (await call('GET', `/change-sets/${id}`, { token: admin })).headers.get('etag') ?? '';
    const schedule = { token: admin, headers: { 'if-match': etag }, body: { inForceFrom: april1 } };
    expect((await call('POST', `/change-sets/${id}/schedule`, schedule)).body).toMatchObject({
      state: 'scheduled',
    });
    expect((await call('GET', at, { token: admin })).body).toMatchObject({ holder: { groups: ['annex'] } });
  });

  it('makes API tokens with no more than their maker may', async () => {
    const made = await call('POST', '/api-tokens', {
      token: admin,
      body: { name: 'personnel', scopes: ['holders:suspend'], days: 30 },
    });
    const token = made.body.token as string;
    expect(
      (await call('PUT', '/holders/page-1/suspension', { token, body: { reason: '退職' } })).status,
    ).toBe(200);
    expect((await call('GET', '/holders/page-1', { token })).status).toBe(403);
    const writer = await call('POST', '/api-tokens', {
      token: admin,
      body: { name: 'writer', scopes: ['administrators:write'], days: 1 },
    });
    const more = await call('POST', '/api-tokens', {
      token: writer.body.token as string,
      body: { name: 'more', scopes: ['holders:write'], days: 1 },
    });
    expect(more.status).toBe(403);
    // nor may it make somebody who may do more
    const account = { id: 'more', name: 'more', roles: ['operator'] };
    const person = await call('POST', '/administrators', {
      token: writer.body.token as string,
      body: account,
    });
    expect(person.status).toBe(403);
    const taken = await call('POST', '/administrators/saburo/credentials', {
      token: writer.body.token as string,
    });
    expect(taken.status).toBe(403);
    const list = await call('GET', '/api-tokens', { token: admin });
    expect(JSON.stringify(list.body)).not.toContain(token);
    const { id } = made.body.apiToken as unknown as { id: string };
    expect((await call('DELETE', `/api-tokens/${id}`, { token: admin })).status).toBe(204);
    expect((await call('PUT', '/holders/page-1/suspension', { token, body: {} })).status).toBe(401);
  });

  it('shows what was done', async () => {
    const { items } = (await call('GET', '/audit?limit=5', { token: admin })).body as unknown as {
      items: { sequence: number; body: { action: string; by: string } }[];
    };
    expect(items.map(({ body }) => body.action)).toContain('api-token-revoked');
    expect(items).toHaveLength(5);
  });

  it('gives a long list the time it takes, and cuts off any other request that does not come', async () => {
    const begin = (path: string, type: string) => {
      const headers = { authorization: `Bearer ${admin}`, 'content-type': type };
      return request(`${url}/api/v1/organizations/city${path}`, { method: 'POST', headers });
    };
    const list = begin('/lists?mode=delta', 'text/csv');
    const answer = once(list, 'response') as Promise<[IncomingMessage]>;
    list.write('user_number,holder\n');
    const slow = begin('/holders/search', 'application/json');
    slow.write('{');
    const [cut] = await once(slow, 'error');
    expect(cut).toMatchObject({ code: 'ECONNRESET' });
    list.end('USER0001,taro\n');
    const [{ statusCode }] = await answer;
    expect(statusCode).toBe(202);
  });

  it('refuses what is too large, not JSON, or of no route', async () => {
    const large = await call('POST', '/holders/search', {
      token: admin,
      body: { userNumber: 'x'.repeat(300_000) },
    });
    expect(large.status).toBe(413);
    const headers = { authorization: `Bearer ${admin}`, 'content-type': 'application/json' };
    const broken = await fetch(`${url}/api/v1/organizations/city/holders/search`, {
      method: 'POST',
      headers,
      body: '{',
    });
    expect([broken.status, broken.headers.get('content-type')]).toEqual([400, 'application/problem+json']);
    expect((await fetch(`${url}/nowhere`)).status).toBe(404);
  });

  it('lists terminals, of which who looks after a site sees its own', async () => {
    const register = new TerminalRegister(city.shared);
    for (const terminal of ['lobby', 'library']) {
      await register.prepareEnrolment({ terminal, name: terminal }, commissioner);
    }
    const site = { name: '図書館', groups: [], terminals: ['library'] };
    const made = await call('PUT', '/sites/books', {
      token: admin,
      body: site,
      headers: { 'if-none-match': '*' },
    });
    expect(made.status).toBeLessThan(300);
    const keeper = await signIn('keeper', ['facilities-admin'], ['books']);
    const seen = async (token: string) =>
      ((await call('GET', '/terminals', { token })).body.items as { id: string; state: string }[]).map(
        ({ id, state }) => [id, state],
      );
    expect(await seen(admin)).toEqual([
      ['library', 'waiting'],
      ['lobby', 'waiting'],
    ]);
    expect(await seen(keeper)).toEqual([['library', 'waiting']]);
  });

  it('describes itself, and says that it serves', async () => {
    const described = (await (await fetch(`${url}/api/v1/openapi.json`)).json()) as {
      openapi: string;
      info: { version: string };
      paths: Record<string, unknown>;
    };
    expect(described.openapi).toBe('3.1.0');
    expect(described.info.version).toBe('1.2.3');
    expect(Object.keys(described.paths)).toContain('/api/v1/organizations/{organization}/holders/{holderId}');
    expect(Object.keys(described.paths).length).toBeGreaterThan(20);
    expect(await (await fetch(`${url}/health/live`)).json()).toEqual({ status: 'live' });
    expect(await (await fetch(`${url}/health/ready`)).json()).toEqual({ status: 'ready' });
  });

  it('takes no Individual Number in what people write', async () => {
    await make('of-words', 'USER0900');
    const words = 'マイナンバー 1234 5678 9018';
    const account = { id: 'of-words', name: words, roles: ['auditor'], sites: [] };
    const command = { action: { kind: 'restart' }, reason: words, to: { terminals: ['lobby'] } };
    for (const [method, path, body] of [
      ['PUT', '/holders/of-words/suspension', { reason: words }],
      ['PUT', '/holders/of-words/suspension', { reason: '1234-5678-9018を紛失' }],
      ['POST', '/change-sets', { title: words }],
      ['POST', '/administrators', account],
      ['POST', '/commands', command],
      ['POST', '/api-tokens', { name: words, scopes: ['holders:read'], days: 1 }],
    ] as const) {
      const refused = await call(method, path, { token: admin, body });
      expect([path, refused.status, refused.body.type]).toEqual([path, 422, 'urn:kazasu:problem:invalid']);
      expect(JSON.stringify(refused.body)).toContain('Individual Number');
      expect(JSON.stringify(refused.body)).not.toContain('5678');
    }
    expect((await call('GET', '/holders/of-words', { token: admin })).body.suspended).toBeUndefined();
  });

  it('writes no id, user number or token into its log', () => {
    const text = logged.join('');
    expect(logged.length).toBeGreaterThan(50);
    for (const secret of ['USER0', 'page-1', 'of-roles', admin, 'kzs_', 'kzt_', '退職']) {
      expect(text).not.toContain(secret);
    }
    expect(text).toContain('/api/v1/organizations/:organization/holders/:holderId');
  });

  if (name === 'PostgreSQL') {
    it('keeps serving after a database server has failed', async () => {
      await rig.cluster?.crash();
      const away = await call('GET', '/holders', { token: admin });
      expect([away.status, away.body.type]).toEqual([503, 'urn:kazasu:problem:unavailable']);
      expect((await fetch(`${url}/health/ready`)).status).toBe(503);
      await rig.cluster?.restart();
      expect((await call('GET', '/holders', { token: admin })).status).toBe(200);
    });
  }
});
