import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TlsCredentials } from '#adapters/mqtt/credentials.ts';
import { toHex } from '#core/bytes/bytes.ts';
import { chunkHash } from '#core/sync/bucket.ts';
import { Attacker, nothingShown } from '../contracts/attacker.ts';
import { makeKey } from '../core/sync/keys.ts';
import { type Forgery, forgedCredentials } from '../trust/forged.ts';
import { TestKey } from '../trust/test-key.ts';
import { databaseRigs, type StartedRig } from './database-rigs.ts';
import { startGateway } from './gateway-bench.ts';

const bytes = new TextEncoder().encode('{"holders":[]}');
const hash = toHex(chunkHash(bytes));
const lobby = [{ O: ['city'] }, { CN: ['lobby'] }];

/** The server as the program builds it, with a terminal of each of two organizations, over HTTPS and its own broker. */
describe('attacks on the server', () => {
  let rig: StartedRig;
  let gateway: Awaited<ReturnType<typeof startGateway>>;
  let city: TlsCredentials;
  let ward: TlsCredentials;
  const attackers: Attacker[] = [];

  const enrol = async (organization: 'city' | 'ward', terminal: string) => {
    const credentials = await gateway.organizations[organization].enrol({ terminal, key: makeKey() });
    await gateway.refresh();
    return credentials;
  };
  const ask = async (
    shown: TlsCredentials,
    path: string,
    { body, headers = {} }: { body?: string | Buffer; headers?: { [name: string]: string } } = {},
  ): Promise<number | 'cut'> => {
    const asked = request({
      ...{ host: 'localhost', port: gateway.ports.https, path: `/terminal/v1/${path}`, agent: false },
      ...{ cert: shown.certificates, key: shown.privateKey, ca: shown.authorities },
      ...(body !== undefined && { method: 'POST' }),
      headers: { 'content-type': 'application/json', ...headers },
    });
    asked.end(body);
    try {
      const [answer] = (await once(asked, 'response')) as [IncomingMessage];
      answer.resume();
      await once(answer, 'close');
      return answer.statusCode ?? 'cut';
    } catch {
      return 'cut';
    }
  };
  const attacker = (shown: TlsCredentials) => {
    const one = new Attacker(shown, gateway.ports.broker);
    attackers.push(one);
    return one;
  };
  /** Whoever is served is served as ever. */
  const expectUnharmed = async () => {
    expect(await ask(city, `chunks/${hash}`)).toBe(200);
    expect(await ask(ward, `chunks/${hash}`)).toBe(404);
  };

  beforeAll(async () => {
    const [database] = databaseRigs;
    if (!database) throw new Error('no database');
    rig = await database.start();
    gateway = await startGateway(rig);
    city = await enrol('city', 'lobby');
    ward = await enrol('ward', 'lobby');
    await gateway.organizations.city.permissions
      .insertInto('chunks')
      .values({ hash, bytes, uses: 1, unused_since_ms: 0 })
      .execute();
  });
  afterAll(async () => {
    await Promise.all(attackers.map((one) => one.die()));
    await gateway.stop();
    await rig.stop();
  });

  it('a terminal is given no part of a policy of another organization', async () => {
    expect(await ask(city, `chunks/${hash}`)).toBe(200);
    for (const path of [
      `chunks/${hash}`,
      `chunks/${hash}?organization=city`,
      `chunks/..%2F..%2Fcity%2F${hash}`,
      `index/${hash}`,
    ]) {
      expect([400, 404], path).toContain(await ask(ward, path));
    }
  });

  const forgeries: readonly [string, () => Promise<TlsCredentials>][] = [
    ['none', async () => nothingShown(city.authorities)],
    ['one that signs itself', () => forged({ signing: new TestKey(), subject: lobby })],
    ['one of another organization’s authority with its name', () => stolen('ward', lobby)],
    [
      'one of another organization’s authority with both names',
      () => stolen('ward', [{ O: ['ward'] }, ...lobby]),
    ],
    // the name fits: only the server knows that it never made it
    ['one made with the stolen key of its own authority', () => stolen('city', lobby)],
    ['one in the name of the server', () => stolen('city', [{ CN: ['issuance'] }])],
  ];
  const forged = (forgery: Forgery) => forgedCredentials(forgery, city.authorities);
  const stolen = (from: 'city' | 'ward', subject: Forgery['subject']) => {
    const { authority, stolenKey } = gateway.organizations[from];
    return forged({ chain: authority.chain(), signing: stolenKey(), subject });
  };

  it.each(forgeries)('a certificate that the server has not made is worth nothing: %s', async (_, make) => {
    const shown = await make();
    expect([401, 'cut']).toContain(await ask(shown, `chunks/${hash}`));
    expect([401, 'cut']).toContain(await ask(shown, 'roots/1'));
    expect([401, 'cut']).toContain(await ask(shown, 'renewal', { body: '{}' }));
    expect(await attacker(shown).connect({ clientId: 'CN=lobby,O=city' })).toBe(false);
    await expectUnharmed();
  });

  it('a stolen certificate is worth nothing from when it is revoked', async () => {
    const shown = await enrol('city', 'stolen');
    const live = attacker(shown);
    expect(await ask(shown, `chunks/${hash}`)).toBe(200);
    expect(await live.connect()).toBe(true);
    await gateway.organizations.city.shut('stolen');
    await gateway.refresh();
    await live.cut();
    expect(await ask(shown, `chunks/${hash}`)).toBe(401);
    expect(await ask(shown, 'renewal', { body: '{}' })).toBe(401);
    expect(await attacker(shown).connect()).toBe(false);
    const { session } = live;
    if (session) expect(await attacker(shown).connect({ session })).toBe(false);
    await expectUnharmed();
  });

  it.each([
    ['a body without end', 'enrolment', { body: Buffer.alloc(1_048_576, 0x20) }, [413, 'cut']],
    ['no JSON', 'enrolment', { body: '{' }, [400]],
    ['JSON that goes very deep', 'enrolment', { body: '['.repeat(16_000) }, [400]],
    ['a member that would be a prototype', 'enrolment', { body: '{"__proto__":{"format":1}}' }, [400]],
    ['headers without end', `chunks/${hash}`, { headers: { 'x-long': 'x'.repeat(100_000) } }, [431, 'cut']],
    ['a path without end', `chunks/${'A'.repeat(15_000)}`, {}, [400, 404, 414]],
    ['a path that is no path', 'chunks/%ff%00', {}, [400, 404]],
  ] as const)('%s is refused, and nobody else notices', async (_, path, options, answers) => {
    expect(answers).toContain(await ask(ward, path, options));
    await expectUnharmed();
  });
});
