import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EmbeddedBroker } from '#adapters/broker/embedded-broker.ts';
import type { TlsCredentials } from '#adapters/mqtt/credentials.ts';
import { TerminalBus } from '#adapters/mqtt/terminal-bus.ts';
import { SystemClock } from '#adapters/os/clock.ts';
import { certificatePem } from '#adapters/x509/pem.ts';
import type { BusState } from '#ports/message-bus.ts';
import { forgedCredentials } from '../trust/forged.ts';
import { TestKey } from '../trust/test-key.ts';
import { makePki, order, organizationPki, type TestPki, terminalCredentials } from '../trust/test-pki.ts';
import { EmbeddedBrokerRig } from './embedded-broker-rig.ts';
import { Seen } from './seen.ts';

const lobby = { organization: 'city', terminal: 'lobby' };

let pki: TestPki;
beforeAll(async () => {
  pki = await makePki();
});

/** What a terminal says first when it looks for a broker at `port`. */
async function firstState(port: number, credentials: TlsCredentials): Promise<BusState | undefined> {
  const states = new Seen<BusState>();
  const bus = new TerminalBus({
    address: { host: 'localhost', port },
    identity: lobby,
    credentials: async () => credentials,
    clock: new SystemClock(),
    random: Math.random,
    failed: () => undefined,
  });
  await bus.start({ received: async () => undefined, changed: states.add });
  await states.atLeast(1);
  const [state] = states.all;
  await bus.stop();
  return state;
}

describe('what stands where the broker should be', () => {
  const impostors: readonly [string, () => Promise<TlsCredentials>][] = [
    ['of an organization’s authority, with the broker’s host name', () => organizationsServer()],
    ['of another platform', async () => (await makePki()).server],
    ['for another host', () => otherHost()],
    ['of a terminal', () => terminalCredentials(pki, lobby)],
    [
      'that signs itself',
      () =>
        forgedCredentials(
          { signing: new TestKey(), subject: [{ CN: ['localhost'] }], hosts: ['localhost'] },
          pki.authorities,
        ),
    ],
  ];

  async function organizationsServer(): Promise<TlsCredentials> {
    const { authority, key } = organizationPki(pki, 'city');
    const subject = [{ O: ['city'] }, { CN: ['localhost'] }];
    return forgedCredentials(
      { chain: authority.chain(), signing: key, subject, hosts: ['localhost'] },
      pki.authorities,
    );
  }
  async function otherHost(): Promise<TlsCredentials> {
    const key = new TestKey();
    const certificate = await pki.services.issueServer(['broker.example'], order(key.publicKey()));
    const certificates = certificatePem(certificate, pki.services.chain()[0]);
    return { certificates, privateKey: key.pem(), authorities: pki.authorities };
  }

  it.each(impostors)('with a certificate %s is told nothing', async (_what, credentials) => {
    const broker = new EmbeddedBroker({
      host: '127.0.0.1',
      port: 0,
      credentials: await credentials(),
      admits: () => true,
      told: () => undefined,
      limits: { terminals: 10, handshakes: 10, waiting: 10, waitingBytes: 1_048_576 },
    });
    await broker.start();
    const state = await firstState(broker.port(), await terminalCredentials(pki, lobby));
    await broker.stop();
    expect(state).toMatchObject({ kind: 'away', fault: { code: 'broker-untrusted' } });
  });
});

describe('a terminal’s link', () => {
  let broker: EmbeddedBrokerRig;
  beforeEach(async () => {
    broker = new EmbeddedBrokerRig(pki);
    await broker.start();
  });
  afterEach(() => broker.stop());

  it('says that it is refused, where its certificate is revoked', async () => {
    const credentials = await terminalCredentials(pki, lobby);
    await broker.revoke(credentials);
    expect(await firstState(broker.port(), credentials)).toMatchObject({
      kind: 'away',
      fault: { code: 'broker-refused' },
    });
  });

  it('says that nothing answers', async () => {
    const port = broker.port();
    await broker.stop();
    expect(await firstState(port, await terminalCredentials(pki, lobby))).toMatchObject({
      kind: 'away',
      fault: { code: 'broker-unreachable' },
    });
    await broker.start();
  });

  it('shows the certificate that it has by then, at each connection', async () => {
    const [old, renewed] = [await terminalCredentials(pki, lobby), await terminalCredentials(pki, lobby)];
    let shown: TlsCredentials = old;
    const states = new Seen<BusState>();
    const bus = new TerminalBus({
      address: { host: 'localhost', port: broker.port() },
      identity: lobby,
      credentials: async () => shown,
      clock: new SystemClock(),
      random: Math.random,
      failed: () => undefined,
      retry: { firstMs: 20, mostMs: 100 },
    });
    await bus.start({ received: async () => undefined, changed: states.add });
    await states.atLeast(1);
    shown = renewed;
    await broker.revoke(old);
    await states.until((all) => all.filter(({ kind }) => kind === 'connected').length === 2);
    await bus.stop();
  });

  it('asks for another broker after each try that failed, and for the first again after a good connection', async () => {
    const credentials = await terminalCredentials(pki, lobby);
    const asked: number[] = [];
    const clock = new SystemClock();
    let aheadUs = 0;
    const states = new Seen<BusState>();
    const bus = new TerminalBus({
      // the first one is away
      address: (failures) => {
        asked.push(failures);
        return { host: 'localhost', port: failures % 2 === 1 ? broker.port() : 1 };
      },
      identity: lobby,
      credentials: async () => credentials,
      clock: {
        after: (delayMs, action) => clock.after(delayMs, action),
        monotonicUs: () => clock.monotonicUs() + aheadUs,
      },
      random: Math.random,
      failed: () => undefined,
      retry: { firstMs: 20, mostMs: 100 },
    });
    await bus.start({ received: async () => undefined, changed: states.add });
    await states.until((all) => all.some(({ kind }) => kind === 'connected'));
    expect(asked).toEqual([0, 1]);
    aheadUs = 60_000_000;
    await broker.stop();
    await broker.start();
    await states.until((all) => all.filter(({ kind }) => kind === 'connected').length === 2);
    expect(asked.slice(0, 4)).toEqual([0, 1, 0, 1]);
    await bus.stop();
  });

  /** The delays of the first tries, where chance is always 0.2 and no delay takes any time. */
  async function delaysAt(port: number, count: number): Promise<readonly number[]> {
    const delays = new Seen<number>();
    const clock = new SystemClock();
    const credentials = await terminalCredentials(pki, lobby);
    const bus = new TerminalBus({
      address: { host: 'localhost', port },
      identity: lobby,
      credentials: async () => credentials,
      failed: () => undefined,
      clock: {
        monotonicUs: () => clock.monotonicUs(),
        after: (delayMs, action) => {
          // the time in which a connection must come about is not one of them
          if (delayMs === 15_000) return () => undefined;
          delays.add(delayMs);
          return clock.after(0, action);
        },
      },
      random: () => 0.2,
    });
    await bus.start({ received: async () => undefined, changed: () => undefined });
    await delays.atLeast(count);
    await bus.stop();
    return delays.all.slice(0, count);
  }

  it('spreads its tries over a time that grows, up to a limit', async () => {
    await broker.stop();
    const delays = await delaysAt(broker.port(), 7);
    expect(delays).toEqual([400, 800, 1_600, 3_200, 6_000, 6_000, 6_000]);
    await broker.start();
  });

  it('spreads its tries over the longer, the more often it hears that there are too many', async () => {
    const full = new EmbeddedBrokerRig(pki, { terminals: 0, handshakes: 10, waiting: 10 });
    await full.start();
    const delays = await delaysAt(full.port(), 12);
    await full.stop();
    expect(delays.slice(0, 3)).toEqual([6_000, 12_000, 18_000]);
    expect(delays.slice(-3)).toEqual([60_000, 60_000, 60_000]);
  });
});
