import { afterAll, beforeAll, expect, it } from 'vitest';
import { TerminalBus } from '#adapters/mqtt/terminal-bus.ts';
import { SystemClock } from '#adapters/os/clock.ts';
import type { TerminalIdentity } from '#core/sync/terminal-identity.ts';
import type { BusState } from '#ports/message-bus.ts';
import { makePki, type TestPki, terminalCredentials } from '../trust/test-pki.ts';
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
      throw new Error('not committed');
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
