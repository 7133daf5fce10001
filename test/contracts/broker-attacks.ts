import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { TlsCredentials } from '#adapters/mqtt/credentials.ts';
import { MqttIntake } from '#adapters/mqtt/mqtt-intake.ts';
import { TerminalBus } from '#adapters/mqtt/terminal-bus.ts';
import { SystemClock } from '#adapters/os/clock.ts';
import { certificatePem } from '#adapters/x509/pem.ts';
import { brokerUsername, type TerminalIdentity } from '#core/sync/terminal-identity.ts';
import type { Intake, TakenMessage } from '#ports/intake.ts';
import type { BusState, DownMessage } from '#ports/message-bus.ts';
import { forge, forgedCredentials } from '../trust/forged.ts';
import { TestKey } from '../trust/test-key.ts';
import { makePki, organizationPki, type TestPki, terminalCredentials } from '../trust/test-pki.ts';
import { Attacker, nothingShown, openBare, sendRaw } from './attacker.ts';
import { Seen } from './seen.ts';

export interface AttackedBroker {
  start(): Promise<void>;
  stop(): Promise<void>;
  port(): number;
  revoke(revoked: { readonly serialNumber: string; readonly identity: TerminalIdentity }): Promise<void>;
  /** where the server does not take by MQTT */
  intake?(): Intake;
}

const lobby: TerminalIdentity = { organization: 'city', terminal: 'lobby' };
const thief: TerminalIdentity = { organization: 'city', terminal: 'thief' };
const foreign: TerminalIdentity = { organization: 'ward', terminal: 'lobby' };
const victim = brokerUsername(lobby);

/** The same attacks on every broker: with whatever it has, nobody hears or says what is another's. */
export function describeBrokerAttacks(name: string, makeBroker: (pki: TestPki) => AttackedBroker): void {
  describe(`attacks on ${name}`, () => {
    let pki: TestPki;
    let broker: AttackedBroker;
    let bus: TerminalBus;
    let intake: Intake;
    let taken: Seen<TakenMessage>;
    let received: Seen<DownMessage>;
    let states: Seen<BusState>;
    const attackers: Attacker[] = [];
    let fence = 0;

    const link = () => ({
      address: { host: 'localhost', port: broker.port() },
      clock: new SystemClock(),
      random: Math.random,
      retry: { firstMs: 20, mostMs: 200 },
    });

    function attacker(credentials: TlsCredentials): Attacker {
      const one = new Attacker(credentials, broker.port());
      attackers.push(one);
      return one;
    }

    /** The victim and the server are served as ever, and heard from nobody else meanwhile. */
    async function expectUnharmed(): Promise<void> {
      fence += 1;
      expect(states.all.map(({ kind }) => kind)).toEqual(['connected']);
      expect(await bus.publish({ kind: 'live', payload: Uint8Array.of(fence) })).toBe('taken');
      expect(await intake.publish({ to: lobby, kind: 'command', payload: Uint8Array.of(fence) })).toBe(
        'taken',
      );
      await Promise.all([
        taken.until((all) => all.some(({ payload }) => payload[0] === fence)),
        received.until((all) => all.some(({ payload }) => payload[0] === fence)),
      ]);
      expect(taken.all.every(({ from, payload }) => from.terminal === 'lobby' && payload.length === 1)).toBe(
        true,
      );
      expect(taken.all.every(({ from }) => from.organization === 'city')).toBe(true);
      expect(received.all.every(({ kind, payload }) => kind === 'command' && payload.length === 1)).toBe(
        true,
      );
    }

    beforeAll(async () => {
      pki = await makePki();
      broker = makeBroker(pki);
      await broker.start();
    });
    afterAll(() => broker.stop());

    beforeEach(async () => {
      [taken, received, states] = [new Seen(), new Seen(), new Seen()];
      const serverStates = new Seen<BusState>();
      const credentials = await terminalCredentials(pki, lobby);
      bus = new TerminalBus({
        ...link(),
        identity: lobby,
        credentials: async () => credentials,
        failed: () => undefined,
      });
      intake =
        broker.intake?.() ??
        new MqttIntake({ ...link(), credentials: async () => pki.issuance, failed: () => undefined });
      await intake.start({
        consume: async (batch) => batch.forEach(taken.add),
        changed: serverStates.add,
      });
      await bus.start({ received: async (message) => received.add(message), changed: states.add });
      await Promise.all([states.atLeast(1), serverStates.atLeast(1)]);
    });
    afterEach(async () => {
      await Promise.all(attackers.splice(0).map((one) => one.die()));
      await bus.stop();
      await intake.stop();
    });

    const elsewhere = [
      `k1/${victim}/up/live`,
      `k1/${victim}/down/command`,
      `k1/${brokerUsername(foreign)}/up/live`,
      `k1/${brokerUsername(thief)}/down/command`,
      `k1/${brokerUsername(thief)}/up/other`,
      `k1/${brokerUsername(thief)}/up/live/more`,
      'k1/CN=issuance/up/live',
      'k1//up/live',
      '$SYS/broker/uptime',
      `$share/x/k1/${victim}/up/live`,
      'anything',
    ];

    it.each(elsewhere)('a terminal cannot publish to %s', async (topic) => {
      const credentials = await terminalCredentials(pki, thief);
      for (const options of [{}, { qos: 0 as const }, { retain: true }, { qos: 2 as const }]) {
        const one = attacker(credentials);
        expect(await one.connect()).toBe(true);
        await one.publish(topic, options);
        await one.die();
      }
      await expectUnharmed();
    });

    /** Some brokers cut off whoever subscribes to what is another's. */
    async function connectedStill(one: Attacker, identity: TerminalIdentity): Promise<Attacker> {
      if (one.isConnected()) return one;
      const again = attacker(await terminalCredentials(pki, identity));
      expect(await again.connect({ clean: false })).toBe(true);
      return again;
    }

    it.each([
      `k1/${victim}/down/command`,
      `k1/${victim}/down/+`,
      `k1/${victim}/#`,
      `k1/${victim}/up/live`,
      'k1/+/down/+',
      'k1/+/up/+',
      '+/+/+/+',
      '#',
      '$share/x/k1/+/down/+',
      `$share/x/k1/${victim}/up/live`,
      '$share/x/#',
      '$SYS/#',
    ])('a terminal hears nothing by %s', async (filter) => {
      await intake.publish({ to: lobby, kind: 'command', payload: Uint8Array.of(0), retain: true });
      for (const identity of [thief, foreign]) {
        const one = attacker(await terminalCredentials(pki, identity));
        expect(await one.connect({ clean: false })).toBe(true);
        await one.subscribe(filter);
        await expectUnharmed();
        // what it may hear comes after anything that had gone astray
        const still = await connectedStill(one, identity);
        await still.subscribe(`k1/${brokerUsername(identity)}/down/ack`);
        await intake.publish({ to: identity, kind: 'ack', payload: Uint8Array.of(0) });
        await still.heard.atLeast(1);
        const heard = new Set([...one.heard.all, ...still.heard.all]);
        expect([...heard]).toEqual([`k1/${brokerUsername(identity)}/down/ack`]);
        await still.die();
        // nor what was said while it was away
        await expectUnharmed();
        const again = attacker(await terminalCredentials(pki, identity));
        expect(await again.connect({ clean: false })).toBe(true);
        await again.subscribe(`k1/${brokerUsername(identity)}/down/ack`);
        await intake.publish({ to: identity, kind: 'ack', payload: Uint8Array.of(0) });
        await again.heard.atLeast(1);
        expect([...new Set(again.heard.all)]).toEqual([`k1/${brokerUsername(identity)}/down/ack`]);
        await again.die();
      }
    });

    it('what a terminal has kept by the broker is no message of later', async () => {
      const one = attacker(await terminalCredentials(pki, thief));
      expect(await one.connect()).toBe(true);
      await one.publish(`k1/${brokerUsername(thief)}/up/live`, { retain: true });
      await one.die();
      await intake.stop();
      const [later, laterStates] = [new Seen<TakenMessage>(), new Seen<BusState>()];
      await intake.start({ consume: async (batch) => batch.forEach(later.add), changed: laterStates.add });
      await laterStates.atLeast(1);
      await bus.publish({ kind: 'live', payload: Uint8Array.of(1) });
      await later.until((all) => all.some(({ from }) => from.terminal === lobby.terminal));
      // what waits in a queue is a message as any other, and of who it says
      const kept = later.all.filter(({ from }) => from.terminal !== lobby.terminal);
      expect(kept.length).toBeLessThanOrEqual(broker.intake ? 1 : 0);
      expect(kept.every(({ from }) => from.terminal === thief.terminal)).toBe(true);
    });

    it('a will goes to no other topic', async () => {
      const credentials = await terminalCredentials(pki, thief);
      for (const topic of [
        `k1/${victim}/up/state`,
        `k1/${victim}/down/command`,
        `k1/${brokerUsername(foreign)}/up/state`,
      ]) {
        const one = attacker(credentials);
        await one.connect({ will: { topic, payload: Buffer.alloc(8), qos: 1, retain: false } });
        await one.die();
      }
      await expectUnharmed();
    });

    it('a client id or a name of another takes over nothing', async () => {
      for (const identity of [thief, foreign]) {
        const one = attacker(await terminalCredentials(pki, identity));
        await one.connect({ clientId: victim, username: victim, clean: false });
        await expectUnharmed();
        await one.die();
        await expectUnharmed();
      }
    });

    describe('names that an organization’s authority has no right to, or that are odd', () => {
      const subjects = [
        ['another’s terminal', [{ O: ['city'] }, { CN: ['lobby'] }]],
        ['a name alone', [{ CN: ['lobby'] }]],
        ['the server', [{ CN: ['issuance'] }]],
        ['the server behind its own organization', [{ O: ['ward'] }, { CN: ['issuance'] }]],
        ['the other organization second', [{ O: ['ward'] }, { O: ['city'] }, { CN: ['lobby'] }]],
        ['the other organization first', [{ O: ['city'] }, { O: ['ward'] }, { CN: ['lobby'] }]],
        ['both in one part', [{ O: ['ward', 'city'] }, { CN: ['lobby'] }]],
        ['both in one part with the name', [{ O: ['ward'] }, { CN: ['lobby'], O: ['city'] }]],
        ['name and organization in one part', [{ O: ['city'], CN: ['lobby'] }]],
        ['in the other order', [{ CN: ['lobby'] }, { O: ['city'] }]],
        ['a comma', [{ O: ['ward'] }, { CN: ['lobby,O=city'] }]],
        ['a plus', [{ O: ['ward'] }, { CN: ['+'] }]],
        ['a number sign', [{ O: ['ward'] }, { CN: [{ utf8String: '#' }] }]],
        ['a level of a topic', [{ O: ['ward'] }, { CN: ['lobby/up'] }]],
        ['a line end', [{ O: ['ward'] }, { CN: ['x\nCN=lobby\nO=city'] }]],
        ['an end of text', [{ O: ['ward'] }, { CN: ['lobby\u0000'] }]],
        ['another case', [{ O: ['WARD'] }, { CN: ['lobby'] }]],
        ['a space', [{ O: ['ward'] }, { CN: ['lobby '] }]],
        ['another script', [{ O: ['ward'] }, { CN: ['ロビー'] }]],
        ['one more part', [{ O: ['ward'] }, { CN: ['lobby'] }, { CN: ['lobby'] }]],
        ['nothing', []],
      ] as const;

      it.each(subjects.map(([what, subject]) => ({ what, subject })))('$what', async ({ subject }) => {
        const { authority, key } = organizationPki(pki, 'ward');
        const credentials = await forgedCredentials(
          { chain: authority.chain(), signing: key, subject: subject as never },
          pki.authorities,
        );
        const one = attacker(credentials);
        if (await one.connect({ clientId: victim })) {
          await one.subscribe('#');
          await one.subscribe(`k1/${victim}/down/+`);
        }
        for (const topic of [
          `k1/${victim}/up/live`,
          `k1/${victim}/down/command`,
          'k1/CN=lobby\\,O=city,O=ward/up/live',
        ]) {
          const other = attacker(credentials);
          if (await other.connect()) await other.publish(topic);
        }
        await expectUnharmed();
        expect(one.heard.all).toEqual([]);
      });
    });

    describe('certificates that are not, or no longer, good', () => {
      const refusals: readonly [string, () => Promise<TlsCredentials>][] = [
        ['none', async () => nothingShown(pki.authorities)],
        ['one that signs itself', () => selfSigned()],
        ['one of another platform', async () => terminalCredentials(await makePki(), lobby)],
        ['one that has run out', () => dated({ beganMsAgo: 86_400_000, days: -0.5 })],
        ['one of later', () => dated({ beganMsAgo: -3_600_000 })],
        ['a server’s', async () => pki.server],
        ['an authority’s own', () => authoritysOwn()],
        ['one below an authority that an organization made', () => below()],
      ];

      async function selfSigned(): Promise<TlsCredentials> {
        const subject = [{ O: ['city'] }, { CN: ['lobby'] }];
        return forgedCredentials({ signing: new TestKey(), subject }, pki.authorities);
      }
      async function dated(life: {
        readonly beganMsAgo: number;
        readonly days?: number;
      }): Promise<TlsCredentials> {
        const { authority, key } = organizationPki(pki, 'city');
        const subject = [{ O: ['city'] }, { CN: ['thief'] }];
        return forgedCredentials(
          { chain: authority.chain(), signing: key, subject, ...life },
          pki.authorities,
        );
      }
      async function authoritysOwn(): Promise<TlsCredentials> {
        const { authority, key } = organizationPki(pki, 'city');
        const shown = await terminalCredentials(pki, lobby);
        return { ...shown, certificates: certificatePem(...authority.chain()), privateKey: key.pem() };
      }
      async function below(): Promise<TlsCredentials> {
        const { authority, key } = organizationPki(pki, 'ward');
        const chain = authority.chain();
        const made = await forge({
          chain,
          signing: key,
          subject: [{ O: ['ward'] }, { CN: ['sub'] }],
          authority: true,
        });
        const subject = [{ O: ['ward'] }, { CN: ['lobby'] }];
        const forgery = { chain: [made.certificate, ...chain], signing: made.key, subject };
        return forgedCredentials(forgery, pki.authorities);
      }

      it.each(refusals)('%s', async (_what, credentials) => {
        expect(await attacker(await credentials()).connect({ clientId: victim })).toBe(false);
        await expectUnharmed();
      });

      it('one that was revoked, also for whoever is connected with it, or takes up a TLS session of before', async () => {
        const revoked = { organization: 'city', terminal: 'stolen' };
        const credentials = await terminalCredentials(pki, revoked);
        const live = attacker(credentials);
        expect(await live.connect()).toBe(true);
        await live.subscribe(`k1/${brokerUsername(revoked)}/down/+`);
        await broker.revoke({ serialNumber: credentials.serialNumber, identity: revoked });
        await live.publish(`k1/${brokerUsername(revoked)}/up/live`);
        await intake.publish({ to: revoked, kind: 'command', payload: Uint8Array.of(0) });
        await expectUnharmed();
        expect(live.heard.all).toEqual([]);
        expect(await attacker(credentials).connect()).toBe(false);
        const { session } = live;
        if (session) expect(await attacker(credentials).connect({ session })).toBe(false);
        await expectUnharmed();
      });
    });

    describe('what is no MQTT, or too much of it', () => {
      const connect = Buffer.from('101000044d5154540402001e0004', 'hex');
      const packets: readonly [string, Buffer][] = [
        ['text', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
        [
          'a packet that says it has 256 MB',
          Buffer.concat([
            connect,
            Buffer.from('61626364', 'hex'),
            Buffer.from('30ffffff7f', 'hex'),
            Buffer.alloc(400_000),
          ]),
        ],
        ['a CONNECT of 256 MB', Buffer.concat([Buffer.from('10ffffff7f', 'hex'), Buffer.alloc(400_000)])],
        ['a length that does not end', Buffer.from('10ffffffffff', 'hex')],
        [
          'a kind that there is none of',
          Buffer.concat([connect, Buffer.from('61626364', 'hex'), Buffer.from('f000', 'hex')]),
        ],
        ['a publish before CONNECT', Buffer.from('300500016161', 'hex')],
        [
          'two CONNECTs',
          Buffer.concat([connect, Buffer.from('61626364', 'hex'), connect, Buffer.from('61626364', 'hex')]),
        ],
        ['a CONNECT without end', connect],
        ['MQTT 5', Buffer.from('101100044d5154540502001e0000046162636400', 'hex').subarray(0, 19)],
      ];

      it.each(packets)('%s', async (_what, bytes) => {
        const credentials = await terminalCredentials(pki, thief);
        await sendRaw(credentials, broker.port(), bytes);
        await expectUnharmed();
      });

      it('a payload above the limit', async () => {
        const one = attacker(await terminalCredentials(pki, thief));
        expect(await one.connect()).toBe(true);
        const answered = one.publish(`k1/${brokerUsername(thief)}/up/live`, { bytes: 300_000 });
        // RabbitMQ never answers, nor anything that this connection says from then on
        if (!broker.intake) await answered;
        await expectUnharmed();
        await one.die();
        await answered;
        await expectUnharmed();
      });

      it('2,000 connections that say nothing', async () => {
        const sockets = await openBare(broker.port(), 2_000);
        await expectUnharmed();
        for (const socket of sockets) socket.destroy();
        const one = attacker(await terminalCredentials(pki, thief));
        // while the broker still clears away, a first try may fail
        while (!(await one.connect())) await one.die();
        await expectUnharmed();
      });
    });
  });
}
