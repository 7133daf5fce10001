import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { decodeLiveEvents } from '#core/sync/live-events.ts';
import type { LiveRequest } from '#ports/journal-outbox.ts';
import type { UpMessage } from '#ports/message-bus.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { LiveFeed } from '#terminal/live-feed.ts';

const identity = { organization: 'city', terminal: 'gate' };
let clock: SimulatedClock;
let asked: LiveRequest[];
let sent: UpMessage[];
let last: number;
let publish: () => Promise<'taken' | 'full'>;
let feed: LiveFeed;

beforeEach(() => {
  clock = new SimulatedClock({ utcMs: 1_775_000_000_000 });
  [asked, sent, last] = [[], [], 100];
  publish = async () => 'taken';
  feed = new LiveFeed({
    identity,
    outbox: {
      extent: async () => ({ last, uploaded: { stored: 40, signed: 0 } }),
      live: async (request) => {
        asked.push(request);
        const event = {
          incarnation: 'a',
          sequence: last,
          atMs: 1,
          clock: 'trusted',
          kind: 'alarm',
          body: {},
        };
        return [event];
      },
    },
    bus: {
      publish: (message) => {
        sent.push(message);
        return publish();
      },
    },
    pause: async () => undefined,
    clock,
    log: pino({ level: 'silent' }),
  });
});
afterEach(() => feed.stop());

const told = () =>
  sent.splice(0).map(({ payload }) => {
    const read = decodeLiveEvents(payload, identity);
    return read.kind === 'accepted' ? read.value.events.map(({ sequence }) => sequence) : read;
  });

describe('what happens at a terminal', () => {
  it('is told as it happens, after the alarms that the server does not have', async () => {
    feed.connected();
    feed.grown();
    await clock.advanceAsync(1_000);
    expect(asked.splice(0)).toEqual([{ behind: 40, alarmsOnly: true }]);
    expect(told()).toEqual([[100]]);
    last = 103;
    feed.grown();
    feed.grown();
    await clock.advanceAsync(99);
    expect(told()).toEqual([]);
    await clock.advanceAsync(1);
    expect(asked).toEqual([{ behind: 100, alarmsOnly: false }]);
    expect(told()).toEqual([[103]]);
    // a checkpoint was written, no entry
    feed.grown();
    await clock.advanceAsync(1_000);
    expect(told()).toEqual([]);
  });

  it('is told in one message at a time, and not again where it did not get through', async () => {
    feed.connected();
    await clock.advanceAsync(1_000);
    sent.length = 0;
    const { promise, resolve } = Promise.withResolvers<'full'>();
    publish = () => promise;
    for (last = 101; last < 110; last += 1) {
      feed.grown();
      await clock.advanceAsync(100);
    }
    expect(told()).toEqual([[101]]);
    resolve('full');
    await clock.advanceAsync(100);
    expect(told()).toEqual([[110]]);
    expect(asked.at(-1)).toEqual({ behind: 101, alarmsOnly: false });
  });

  it('is told to nobody who is not there', async () => {
    feed.connected();
    await clock.advanceAsync(1_000);
    feed.lost();
    sent.length = 0;
    last = 120;
    feed.grown();
    await clock.advanceAsync(10_000);
    expect(told()).toEqual([]);
    feed.connected();
    await clock.advanceAsync(1_000);
    expect(asked.at(-1)).toEqual({ behind: 40, alarmsOnly: true });
  });

  it('is told again after the disk could not be read', async () => {
    feed.connected();
    await clock.advanceAsync(1_000);
    sent.length = 0;
    publish = async () => {
      throw new Error('no link');
    };
    feed.grown();
    last = 130;
    await clock.advanceAsync(1_000);
    publish = async () => 'taken';
    last = 140;
    feed.grown();
    await clock.advanceAsync(1_000);
    expect(told()).toEqual([[130], [140]]);
  });
});
