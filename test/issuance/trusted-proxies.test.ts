import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Passwords } from '#issuance/administrators/passwords.ts';
import { parseIssuanceConfig } from '#issuance/config.ts';
import { HttpServer } from '#issuance/http/server.ts';
import { Services } from '#issuance/services.ts';
import { databaseRigs, type StartedRig } from './database-rigs.ts';
import { makeOrganization } from './organization-bench.ts';

/** Notes from which addresses passwords are asked for. */
class NotedPasswords extends Passwords {
  readonly peers: string[] = [];

  override check(...words: Parameters<Passwords['check']>): ReturnType<Passwords['check']> {
    this.peers.push(words[2]);
    return super.check(...words);
  }
}

let rig: StartedRig;
let city: Awaited<ReturnType<typeof makeOrganization>>;

beforeAll(async () => {
  rig = await (databaseRigs[0] as (typeof databaseRigs)[number]).start();
  city = await makeOrganization(rig, 'city');
});
afterAll(async () => {
  await city.databases.stop();
  await rig.stop();
});

/** From where the server takes requests to come that have these headers. */
async function peersOf(trustedProxies: readonly string[], forwarded: readonly string[]) {
  const passwords = new NotedPasswords({
    cost: { logN: 10, r: 8, p: 1 },
    entropy: city.shared.entropy,
  });
  const server = new HttpServer({
    services: new Services({
      ...{ ...city.shared, passwords, organizations: city.organizations },
      alarm: () => undefined,
      commandKeys: async () => undefined,
    }),
    log: pino({ level: 'silent' }),
    checkHealth: async () => undefined,
    version: '1.2.3',
    lists: { directory: '/nowhere', look: () => undefined },
  });
  const url = await server.start({ host: '127.0.0.1', port: 0, trustedProxies });
  for (const header of forwarded) {
    await fetch(`${url}/api/v1/organizations/city/session`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-forwarded-for': header },
      body: JSON.stringify({ administrator: 'nobody', password: 'x' }),
    });
  }
  await server.stop();
  return passwords.peers;
}

it('believes nobody who asks about where it comes from', async () => {
  expect(await peersOf([], ['192.0.2.1'])).toEqual(['127.0.0.1']);
  expect(await peersOf(['198.51.100.0/24'], ['192.0.2.1'])).toEqual(['127.0.0.1']);
});

it('believes the proxies that are named, and of what they say only what they saw themselves', async () => {
  const forwarded = [
    '192.0.2.1',
    '203.0.113.9, 192.0.2.2',
    '203.0.113.9, 192.0.2.3, 198.51.100.7',
    '2001:db8:1:2:3::4',
  ];
  expect(await peersOf(['127.0.0.1', '198.51.100.0/24'], forwarded)).toEqual([
    '192.0.2.1',
    '192.0.2.2',
    '192.0.2.3',
    '2001:db8:1:2',
  ]);
});

it('refuses a configuration with what is no address', () => {
  const parse = (proxies: string) =>
    parseIssuanceConfig(`formatVersion: 1\nhttp: { trustedProxies: [${proxies}] }`, 'issuance.yaml');
  expect(parse("10.0.0.1, 10.1.0.0/16, '::1', '2001:db8::/32'").http.trustedProxies).toHaveLength(4);
  for (const wrong of ['proxy.example', '10.0.0.0/33', '10.0.0']) {
    expect(() => parse(wrong)).toThrow('must be an address or a network');
  }
});
