import { describe, expect, it } from 'vitest';
import { type Misbehave, type Passage, SimulatedBroker } from '#simulators/broker/simulated-broker.ts';
import { describeMessageBus } from './message-bus.ts';

describeMessageBus('simulator', async () => {
  const broker = new SimulatedBroker();
  return {
    bus: (identity) => broker.bus(identity),
    intake: () => broker.intake(),
    fail: async () => broker.fail({ forget: true }),
    recover: async () => broker.recover(),
    stop: async () => broker.fail(),
  };
});

describe('a simulated broker that misbehaves', () => {
  const lobby = { organization: 'city', terminal: 'lobby' };

  async function tell(misbehave: Misbehave, taken: (number: number) => void): Promise<SimulatedBroker> {
    const broker = new SimulatedBroker();
    broker.misbehave = misbehave;
    await broker.intake().start({
      consume: async (batch) => {
        for (const { payload } of batch) taken(payload[0] ?? 0);
      },
      changed: () => undefined,
    });
    const bus = broker.bus(lobby);
    await bus.start({ received: async () => undefined, changed: () => undefined });
    for (const number of [1, 2, 3, 9]) {
      expect(await bus.publish({ kind: 'live', payload: Uint8Array.of(number) })).toBe('taken');
    }
    await new Promise((resolve) => setImmediate(resolve));
    return broker;
  }

  async function told(misbehave: Misbehave): Promise<readonly number[]> {
    const seen: number[] = [];
    await tell(misbehave, (number) => seen.push(number));
    return seen;
  }

  const of = (number: number, passage: Passage): Misbehave => {
    return ({ payload }) => (payload[0] === number ? passage : { times: 1 });
  };

  it('loses a message', async () => expect(await told(of(2, { times: 0 }))).toEqual([1, 3, 9]));
  it('brings one twice', async () => expect(await told(of(2, { times: 2 }))).toEqual([1, 2, 2, 3, 9]));
  it('brings one later', async () => {
    expect(await told(of(1, { times: 1, after: 2 }))).toEqual([2, 3, 1, 9]);
  });
  it('brings what waits for nothing any more', async () => {
    const seen: number[] = [];
    const broker = await tell(of(9, { times: 1, after: 5 }), (number) => seen.push(number));
    expect(seen).toEqual([1, 2, 3]);
    broker.release();
    await new Promise((resolve) => setImmediate(resolve));
    expect(seen).toEqual([1, 2, 3, 9]);
  });
});
