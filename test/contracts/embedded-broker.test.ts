import { once } from 'node:events';
import { connect } from 'node:tls';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { MqttIntake } from '#adapters/mqtt/mqtt-intake.ts';
import { TerminalBus } from '#adapters/mqtt/terminal-bus.ts';
import { SystemClock } from '#adapters/os/clock.ts';
import type { TerminalIdentity } from '#core/sync/terminal-identity.ts';
import { brokerUsername } from '#core/sync/terminal-identity.ts';
import { downFilter, maxPayloadBytes } from '#core/sync/topics.ts';
import type { BusState, DownMessage } from '#ports/message-bus.ts';
import { makePki, type TestPki, terminalCredentials } from '../trust/test-pki.ts';
import { Attacker, openBare } from './attacker.ts';
import { EmbeddedBrokerRig } from './embedded-broker-rig.ts';
import { Seen } from './seen.ts';

let pki: TestPki;
beforeAll(async () => {
  pki = await makePki();
});

const named = (terminal: string): TerminalIdentity => ({ organization: 'city', terminal });

describe('the embedded broker when there is too much of it', () => {
  let broker: EmbeddedBrokerRig;
  const running: { stop(): Promise<void> }[] = [];

  beforeEach(async () => {
    broker = new EmbeddedBrokerRig(pki, { terminals: 2, handshakes: 5, waiting: 8 });
    await broker.start();
  });
  afterEach(async () => {
    for (const one of running.splice(0)) await one.stop();
    await broker.stop();
  });

  const link = () => ({
    address: { host: 'localhost', port: broker.port() },
    clock: new SystemClock(),
    random: Math.random,
    retry: { firstMs: 20, mostMs: 200 },
    failed: () => undefined,
  });

  async function startTerminal(terminal: string) {
    const identity = named(terminal);
    const credentials = await terminalCredentials(pki, identity);
    const bus = new TerminalBus({ ...link(), identity, credentials: async () => credentials });
    const states = new Seen<BusState>();
    const received = new Seen<DownMessage>();
    running.push(bus);
    await bus.start({ received: async (message) => received.add(message), changed: states.add });
    return { bus, states, received };
  }

  async function startServer(): Promise<MqttIntake> {
    const intake = new MqttIntake({ ...link(), credentials: async () => pki.issuance });
    const states = new Seen<BusState>();
    running.push(intake);
    await intake.start({ consume: async () => undefined, changed: states.add });
    await states.atLeast(1);
    return intake;
  }

  it('serves whom it serves, tells others to come later, and serves those when there is room', async () => {
    const first = await startTerminal('first');
    await first.states.atLeast(1);
    const credentials = await terminalCredentials(pki, named('second'));
    const [second, secondAgain] = [
      new Attacker(credentials, broker.port()),
      new Attacker(credentials, broker.port()),
    ];
    expect(await second.connect()).toBe(true);
    const third = await startTerminal('third');
    await third.states.atLeast(2);
    expect(third.states.all.every((state) => state.kind === 'away')).toBe(true);
    expect(third.states.last()).toMatchObject({ fault: { code: 'broker-unreachable' } });
    expect(broker.events).toContainEqual({ kind: 'terminals-full', username: 'CN=third,O=city' });
    // a terminal that comes again takes the place of itself, and the server is no terminal
    expect(await secondAgain.connect()).toBe(true);
    await second.cut();
    await startServer();
    expect(first.states.all).toEqual([{ kind: 'connected' }]);
    await secondAgain.die();
    await third.states.until((all) => all.at(-1)?.kind === 'connected');
  });

  it('cuts connections that say nothing once there are many, and nobody that is served', async () => {
    const served = await startTerminal('first');
    await served.states.atLeast(1);
    const bare = await openBare(broker.port(), 50);
    await Promise.all(
      bare
        .slice(5)
        .map((socket) => (socket.destroyed ? undefined : once(socket, 'close').catch(() => undefined))),
    );
    expect(bare.filter(({ destroyed }) => !destroyed).length).toBeLessThanOrEqual(5);
    expect(await served.bus.publish({ kind: 'live', payload: Uint8Array.of(1) })).toBe('taken');
    expect(served.states.all).toEqual([{ kind: 'connected' }]);
    for (const socket of bare) socket.destroy();
    const later = await startTerminal('second');
    await later.states.until((all) => all.at(-1)?.kind === 'connected');
  });

  it('cuts a terminal that takes nothing, and lets no other wait for it', async () => {
    const server = await startServer();
    const other = await startTerminal('other');
    await other.states.atLeast(1);
    const slow = named('slow');
    const { certificates, privateKey, authorities } = await terminalCredentials(pki, slow);
    const socket = connect({
      host: 'localhost',
      port: broker.port(),
      ca: authorities,
      cert: certificates,
      key: privateKey,
    });
    socket.on('error', () => undefined);
    const filter = Buffer.from(downFilter(slow));
    socket.write(Buffer.from('101000044d5154540402001e000461626364', 'hex'));
    socket.write(
      Buffer.concat([
        Buffer.from([0x82, filter.length + 5, 0, 1, 0, filter.length]),
        filter,
        Buffer.from([1]),
      ]),
    );
    await new Promise<void>((resolve) => {
      let heard = 0;
      socket.on('data', (chunk: Buffer) => {
        heard += chunk.length;
        // CONNACK and SUBACK
        if (heard >= 9) resolve();
      });
    });
    socket.pause();
    const large = new Uint8Array(maxPayloadBytes);
    while (!broker.events.some(({ kind }) => kind === 'receiver-too-slow')) {
      expect(await server.publish({ to: slow, kind: 'manifest', payload: large })).toBe('taken');
      expect(await server.publish({ to: named('other'), kind: 'ack', payload: Uint8Array.of(1) })).toBe(
        'taken',
      );
    }
    expect(broker.events).toContainEqual({ kind: 'receiver-too-slow', username: brokerUsername(slow) });
    const told = other.received.all.length;
    await server.publish({ to: named('other'), kind: 'ack', payload: Uint8Array.of(2) });
    await other.received.until((all) => all.at(-1)?.payload[0] === 2);
    expect(told).toBeGreaterThan(0);
    expect(other.states.all).toEqual([{ kind: 'connected' }]);
    socket.destroy();
  });

  it('lets nobody whose certificate is revoked keep out who came after under the name', async () => {
    const stolen = await terminalCredentials(pki, named('lobby'));
    await broker.revoke(stolen);
    const { certificates, privateKey, authorities } = await terminalCredentials(pki, named('lobby'));
    const tls = { cert: certificates, key: privateKey, ca: authorities };
    const successor = connect({ ...tls, host: 'localhost', port: broker.port() });
    successor.on('error', () => undefined);
    await once(successor, 'secureConnect');
    const thief = new Attacker(stolen, broker.port());
    expect(await thief.connect()).toBe(false);
    await thief.die();
    const answer = Promise.race([once(successor, 'data'), once(successor, 'close')]);
    // CONNECT (MQTT 3.1.1, 3.1) of a clean session, and the CONNACK that accepts it
    successor.write(Uint8Array.from([0x10, 13, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 30, 0, 1, 0x78]));
    expect(await answer).toEqual([Buffer.from([0x20, 2, 0, 0])]);
    successor.destroy();
  });

  it('says who tried what', async () => {
    const one = new Attacker(await terminalCredentials(pki, named('thief')), broker.port());
    expect(await one.connect()).toBe(true);
    await one.subscribe('#');
    await one.publish('k1/CN=lobby,O=city/up/live');
    await one.die();
    const username = 'CN=thief,O=city';
    expect(broker.events).toContainEqual({ kind: 'subscribe-refused', username, topic: '#' });
    expect(broker.events).toContainEqual({
      kind: 'publish-refused',
      username,
      topic: 'k1/CN=lobby,O=city/up/live',
    });
  });

  it('keeps open no connection that announces no heartbeat', async () => {
    const one = new Attacker(await terminalCredentials(pki, named('quiet')), broker.port());
    expect(await one.connect({ keepalive: 0 })).toBe(false);
    expect(await one.connect({ keepalive: 3_600 })).toBe(false);
    await one.die();
  });
});
