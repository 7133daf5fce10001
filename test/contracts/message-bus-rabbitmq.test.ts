import { afterAll, beforeAll, expect, it } from 'vitest';
import { TerminalBus } from '#adapters/mqtt/terminal-bus.ts';
import { SystemClock } from '#adapters/os/clock.ts';
import { Fault } from '#core/fault.ts';
import type { TerminalIdentity } from '#core/sync/terminal-identity.ts';
import { downFilter, downTopic, maxPayloadBytes } from '#core/sync/topics.ts';
import type { TakenMessage } from '#ports/intake.ts';
import type { BusState } from '#ports/message-bus.ts';
import { makePki, type TestPki, terminalCredentials } from '../trust/test-pki.ts';
import { Attacker } from './attacker.ts';
import { describeMessageBus } from './message-bus.ts';
import { RabbitRig } from './rabbitmq-rig.ts';
import { Seen } from './seen.ts';

let pki: TestPki;
let broker: RabbitRig;
beforeAll(async () => {
  pki = await makePki();
  broker = new RabbitRig(pki);
  await broker.start();
});
afterAll(() => broker.stop());

const busOf = (identity: TerminalIdentity) =>
  new TerminalBus({
    address: { host: 'localhost', port: broker.port() },
    clock: new SystemClock(),
    random: Math.random,
    retry: { firstMs: 20, mostMs: 200 },
    identity,
    credentials: () => terminalCredentials(pki, identity),
    failed: () => undefined,
  });

// it takes seconds to start: one for all
describeMessageBus('RabbitMQ', async () => {
  await broker.empty();
  return {
    bus: busOf,
    intake: () => broker.intake(),
    keepsNothing: true,
    fail: () => broker.kill(),
    recover: () => broker.start(),
    stop: () => broker.start(),
  };
});

it('gives what was not committed to another server, and again to this one', async () => {
  await broker.empty();
  const identity = { organization: 'city', terminal: 'lobby' };
  const bus = busOf(identity);
  const states = new Seen<BusState>();
  await bus.start({ received: async () => undefined, changed: states.add });
  const [one, other] = [broker.intake(), broker.intake()];
  const [seen, again] = [new Seen<string>(), new Seen<string>()];
  const up = new Seen<BusState>();
  await one.start({
    consume: async (batch) => {
      for (const { payload } of batch) seen.add(Buffer.from(payload).toString());
      // as where the disk is full, or the machine about to die
      throw new Fault('database-unavailable', 'not committed');
    },
    changed: up.add,
  });
  await Promise.all([states.atLeast(1), up.atLeast(1)]);
  expect(await bus.publish({ kind: 'journal', payload: Buffer.from('batch') })).toBe('taken');
  // it comes again while nobody commits it
  await seen.atLeast(2);
  await other.start({
    consume: async (batch) => {
      for (const { payload } of batch) again.add(Buffer.from(payload).toString());
    },
    changed: () => undefined,
  });
  await one.stop();
  await again.atLeast(1);
  expect(again.all).toEqual(['batch']);
  await Promise.all([bus.stop(), other.stop()]);
});

it('keeps the newest of what a terminal does not take, and no more than a node can bear', async () => {
  await broker.empty();
  const identity = { organization: 'city', terminal: 'asleep' };
  const credentials = await terminalCredentials(pki, identity);
  const server = broker.intake();
  const up = new Seen<BusState>();
  await server.start({ consume: async () => undefined, changed: up.add });
  await up.atLeast(1);
  const before = new Attacker(credentials, broker.port());
  expect(await before.connect({ clean: false })).toBe(true);
  await before.subscribe(downFilter(identity));
  await before.die();
  const payload = Buffer.alloc(maxPayloadBytes, 0x41);
  for (let sent = 0; sent < 50; sent += 1)
    expect(await server.publish({ to: identity, kind: 'ack', payload })).toBe('taken');
  await server.publish({ to: identity, kind: 'command', payload: Buffer.from('last') });
  const awake = new Attacker(credentials, broker.port());
  expect(await awake.connect({ clean: false })).toBe(true);
  await awake.heard.until((all) => all.includes(downTopic(identity, 'command')));
  // 4 MiB with the last, of 12.5
  expect(awake.heard.all.length).toBeGreaterThan(10);
  expect(awake.heard.all.length).toBeLessThanOrEqual(16);
  await Promise.all([awake.die(), server.stop()]);
}, 60_000);

it('lets go of what cannot be kept, and keeps what came with it and after it', async () => {
  await broker.empty();
  const buses = await Promise.all(
    ['city', 'ward'].map(async (organization) => {
      const bus = busOf({ organization, terminal: 'lobby' });
      const states = new Seen<BusState>();
      await bus.start({ received: async () => undefined, changed: states.add });
      await states.atLeast(1);
      return { organization, bus };
    }),
  );
  const [given, kept] = [new Seen<string>(), new Seen<string>()];
  let poisoned = 0;
  const consume = async (batch: readonly TakenMessage[]): Promise<void> => {
    const told = batch.map(({ payload }) => Buffer.from(payload).toString());
    if (told.includes('city poison')) {
      poisoned += 1;
      throw new TypeError('a bug');
    }
    // each time it is given it is tried once without what others sent
    if (told.every((one) => one.startsWith('ward'))) for (const one of told) given.add(one);
    if (told.some((one) => one.startsWith('ward'))) throw new Fault('database-newer', 'not migrated');
    for (const one of told) kept.add(one);
  };
  const send = async (...words: readonly string[]): Promise<void> => {
    for (const word of words)
      for (const { organization, bus } of buses)
        expect(await bus.publish({ kind: 'state', payload: Buffer.from(`${organization} ${word}`) })).toBe(
          'taken',
        );
  };
  // the first server makes the queue; what waits in it comes to the next one as one batch
  const first = broker.intake();
  const made = new Seen<BusState>();
  await first.start({ consume, changed: made.add });
  await made.atLeast(1);
  await first.stop();
  await send('one', 'poison', 'two');
  const server = broker.intake();
  const up = new Seen<BusState>();
  await server.start({ consume, changed: up.add });
  await kept.atLeast(2);
  await send('three');
  await kept.atLeast(3);
  expect(kept.all).toEqual(['city one', 'city two', 'city three']);
  // in the whole batch, among what its organization sent, and alone
  expect(poisoned).toBeLessThanOrEqual(3);
  const words = ['one', 'poison', 'two', 'three'].map((word) => `ward ${word}`);
  await given.until((all) => words.every((word) => all.filter((one) => one === word).length === 5));
  await server.stop();
  const other = broker.intake();
  const left = new Seen<string>();
  await other.start({
    consume: async (batch) => {
      for (const { payload } of batch) left.add(Buffer.from(payload).toString());
    },
    changed: () => undefined,
  });
  await send('last');
  await left.until((all) => all.includes('city last') && all.includes('ward last'));
  expect(left.all.toSorted()).toEqual(['city last', 'ward last']);
  await Promise.all([other.stop(), ...buses.map(({ bus }) => bus.stop())]);
}, 30_000);
