import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Role } from '#issuance/administrators/roles.ts';
import { parseIssuanceConfig } from '#issuance/config.ts';
import { HttpServer } from '#issuance/http/server.ts';
import { Services } from '#issuance/services.ts';
import { databaseRigs, type StartedRig } from './database-rigs.ts';
import { commissioner, makeOrganization, shownByApp } from './organization-bench.ts';
import { SoftwareAuthenticator } from './software-authenticator.ts';

const origin = 'https://issuance.example';
const place = { relyingParty: 'issuance.example', origins: [origin] };
type Body = Record<string, unknown>;

describe.each(databaseRigs)('passkeys on $name', ({ start }) => {
  let rig: StartedRig;
  let city: Awaited<ReturnType<typeof makeOrganization>>;
  let server: HttpServer;
  let url: string;
  let count = 0;
  let id: string;
  let token: string;
  let authenticator: SoftwareAuthenticator;

  beforeAll(async () => {
    rig = await start();
    city = await makeOrganization(rig, 'city');
    await city.organizations.create({ id: 'university', name: '大学' }, commissioner);
    const services = new Services({
      ...city.shared,
      organizations: city.organizations,
      alarm: (alarm) => city.alarms.push(alarm),
      commandKeys: async () => undefined,
      passkeys: { place, key: new Uint8Array(32).fill(3) },
    });
    server = new HttpServer({
      services,
      log: pino({ level: 'silent' }),
      checkHealth: async () => undefined,
      version: '1.2.3',
      lists: { directory: '', look: () => undefined },
    });
    url = await server.start({ host: '127.0.0.1', port: 0 });
  });
  afterAll(async () => {
    await server.stop();
    await city.databases.stop();
    await rig.stop();
  });
  beforeEach(async () => {
    count += 1;
    id = `admin-${count}`;
    token = await signedIn(id, 'organization-admin');
    authenticator = new SoftwareAuthenticator(origin);
  });
  afterEach(() => city.alarms.splice(0));

  const call = async (
    method: string,
    path: string,
    { by, body, at = 'city' }: { by?: string; body?: unknown; at?: string } = {},
  ) => {
    const reply = await fetch(`${url}/api/v1/organizations/${at}${path}`, {
      method,
      headers: {
        ...(by !== undefined && { authorization: `Bearer ${by}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await reply.text();
    return { status: reply.status, body: (text === '' ? {} : JSON.parse(text)) as Body };
  };
  const signedIn = async (administrator: string, role: Role) => {
    const account = { id: administrator, name: administrator, roles: [role], sites: [], breakGlass: false };
    const { credentials } = await city.administrators.create(account, commissioner);
    const oneTimePassword = shownByApp(credentials.oneTimePasswordAddress, city.clock.utcMs());
    const body = { administrator, password: credentials.password, oneTimePassword };
    return (await call('POST', '/session', { body })).body.token as string;
  };
  const creation = async () => (await call('POST', '/passkeys/options', { by: token })).body as never;
  const keep = (credential: unknown, by = token) =>
    call('POST', '/passkeys', { by, body: { name: '鍵束', credential } });
  const registered = async () => {
    expect((await keep(authenticator.create(await creation()))).status).toBe(201);
  };
  const request = async (at = 'city') =>
    (await call('POST', '/session/passkey/options', { at })).body as never;
  const enter = (response: unknown, at = 'city') => call('POST', '/session/passkey', { body: response, at });
  const lastActions = async (limit: number) => {
    const page = await call('GET', `/audit?limit=${limit}`, {
      by: await signedIn(`auditor-${count}-${limit}`, 'auditor'),
    });
    return (page.body.items as { body: Body }[]).map(({ body }) => body);
  };

  it('are made in a fresh session, and sign in without a password', async () => {
    const options = (await creation()) as { user: { id: string }; authenticatorSelection: Body };
    expect(options.authenticatorSelection).toMatchObject({
      userVerification: 'required',
      residentKey: 'required',
    });
    // the authenticator learns no name by it
    expect(Buffer.from(options.user.id, 'base64url').toString()).not.toContain(id);
    await registered();
    const entered = await enter(authenticator.get(await request()));
    expect(entered.status).toBe(201);
    const own = await call('GET', '/session', { by: entered.body.token as string });
    expect(own.body).toMatchObject({ id, via: 'session' });
    expect((await call('GET', '/passkeys', { by: token })).body.items).toMatchObject([
      { name: '鍵束', backedUp: false },
    ]);
    expect(await lastActions(9)).toContainEqual(
      expect.objectContaining({ action: 'signed-in', passkey: authenticator.id.toString('base64url') }),
    );
  });

  it.each([
    ['of a page elsewhere', { origin: 'https://issuance.example.evil' }],
    ['for another domain', { relyingParty: 'evil.example' }],
    ['of a user who was not verified', { unverified: true }],
  ])('are refused %s, when made and when used', async (_, wrong) => {
    expect((await keep(authenticator.create(await creation(), wrong))).status).toBe(422);
    await registered();
    expect((await enter(authenticator.get(await request(), wrong))).status).toBe(401);
  });

  it('are refused that another account asked for, or that come too late or twice', async () => {
    const other = await signedIn(`other-${count}`, 'operator');
    const made = authenticator.create(await creation());
    expect((await keep(made, other)).status).toBe(422);
    city.clock.advance(300_000);
    expect((await keep(made)).status).toBe(422);
    const again = authenticator.create(await creation());
    expect((await keep(again)).status).toBe(201);
    expect((await keep(again)).status).toBe(422);
  });

  it('answer each challenge once, in time, and those of this server alone', async () => {
    await registered();
    const response = authenticator.get(await request());
    expect((await enter(response)).status).toBe(201);
    expect((await enter(response)).status).toBe(401);
    const late = authenticator.get(await request());
    city.clock.advance(300_000);
    expect((await enter(late)).status).toBe(401);
    const options = (await request()) as { challenge: string };
    const [first = ''] = options.challenge;
    const forged = { ...options, challenge: (first === 'A' ? 'B' : 'A') + options.challenge.slice(1) };
    expect((await enter(authenticator.get(forged as never))).status).toBe(401);
    expect((await enter(authenticator.get(await request('university')))).status).toBe(401);
    expect((await enter(authenticator.get(await request()), 'university')).status).toBe(401);
    expect((await enter(authenticator.get(await request(), { userHandle: 'AAAA' }))).status).toBe(401);
    const wrong = authenticator.get(await request());
    const { signature } = new SoftwareAuthenticator(origin).get(await request()).response;
    expect((await enter({ ...wrong, response: { ...wrong.response, signature } })).status).toBe(401);
  });

  it('that count backwards were copied: nobody enters, and it is an alarm', async () => {
    await registered();
    expect((await enter(authenticator.get(await request(), { counter: 9 }))).status).toBe(201);
    expect((await enter(authenticator.get(await request(), { counter: 9 }))).status).toBe(401);
    expect(city.alarms).toEqual([{ kind: 'passkey-copied', organization: 'city', administrator: id }]);
    expect((await lastActions(4))[2]).toMatchObject({ action: 'sign-in-refused', reason: 'passkey-copied' });
    // one that does not count is none that was copied
    const still = new SoftwareAuthenticator(origin);
    expect((await keep(still.create(await creation()))).status).toBe(201);
    for (let times = 0; times < 2; times += 1) {
      expect((await enter(still.get(await request(), { counter: 0 }))).status).toBe(201);
    }
  });

  it('are made by no old session, no API token and no break-glass account', async () => {
    const made = await call('POST', '/api-tokens', {
      by: token,
      body: { name: 'x', scopes: ['administrators:write'], days: 1 },
    });
    const refused = await call('POST', '/passkeys/options', { by: made.body.token as string });
    expect(refused.body.type).toBe('urn:kazasu:problem:session-too-old');
    const glass = {
      id: `glass-${count}`,
      name: 'x',
      roles: ['organization-admin' as const],
      sites: [],
      breakGlass: true,
    };
    const { credentials } = await city.administrators.create(glass, commissioner);
    const opened = await call('POST', '/session', {
      body: { administrator: glass.id, password: credentials.password },
    });
    expect((await call('POST', '/passkeys/options', { by: opened.body.token as string })).status).toBe(403);
    city.clock.advance(900_001);
    expect((await call('POST', '/passkeys/options', { by: token })).status).toBe(403);
  });

  it('that are removed sign nobody in, end what is open, and are recorded', async () => {
    await registered();
    const { token: open } = (await enter(authenticator.get(await request()))).body;
    const boss = await signedIn(`boss-${count}`, 'organization-admin');
    const credential = authenticator.id.toString('base64url');
    expect(
      (await call('DELETE', `/administrators/boss-${count}/passkeys/${credential}`, { by: boss })).status,
    ).toBe(404);
    expect((await call('DELETE', `/administrators/${id}/passkeys/${credential}`, { by: boss })).status).toBe(
      204,
    );
    expect((await call('GET', '/session', { by: open as string })).status).toBe(401);
    expect((await enter(authenticator.get(await request()))).status).toBe(401);
    expect(await lastActions(5)).toContainEqual(
      expect.objectContaining({ action: 'passkey-removed', by: `boss-${count}`, administrator: id }),
    );
  });

  it('go with the credentials that are made anew, and do not outlast the account', async () => {
    await registered();
    await city.administrators.renewCredentials(id, commissioner);
    expect((await enter(authenticator.get(await request()))).status).toBe(401);
    token = await signedIn(`next-${count}`, 'operator');
    await registered();
    const next = (await city.administrators.list()).find((one) => one.id === `next-${count}`);
    await city.administrators.update(`next-${count}`, next?.revision ?? 0, { enabled: false }, commissioner);
    expect((await enter(authenticator.get(await request()))).status).toBe(401);
  });

  it('need a domain and pages of it in the configuration', () => {
    const config = (relyingParty: string, page: string) =>
      parseIssuanceConfig(
        `formatVersion: 1\nhttp: { passkeys: { relyingParty: ${relyingParty}, origins: [ "${page}" ] } }\n`,
        'issuance.yaml',
      );
    expect(config('example', 'https://issuance.example').http.passkeys?.relyingParty).toBe('example');
    expect(() => config('localhost', 'http://localhost:8080')).not.toThrow();
    for (const [domain, page] of [
      ['issuance.example', 'https://example'],
      ['issuance.example', 'http://issuance.example'],
      ['issuance.example', 'https://issuance.example/console'],
      ['https://issuance.example', origin],
    ] as const) {
      expect(() => config(domain, page)).toThrow(/origins|relyingParty/);
    }
  });
});
