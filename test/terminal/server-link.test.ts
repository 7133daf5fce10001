import { pino } from 'pino';
import { beforeEach, describe, expect, it } from 'vitest';
import { Fault } from '#core/fault.ts';
import type { JournalHead } from '#core/journal/record.ts';
import type { Diagnostics } from '#core/sync/command.ts';
import { readTerminalState, stateEveryMs } from '#core/sync/presence.ts';
import type { BusHandlers, MessageBus, PublishOutcome, UpMessage } from '#ports/message-bus.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { lastWill, ServerLink } from '#terminal/server-link.ts';

const diagnostics: Diagnostics = {
  terminal: 'lobby',
  versions: {},
  parameters: [{ name: 'long', value: 'list' }],
  startedAtMs: 0,
  clock: { utcMs: 0, trusted: true, floorMs: 0 },
  journal: { writable: true },
  doors: [],
  readers: [],
  faults: [],
};

let head: JournalHead | undefined;
const journal = {
  note: () => undefined,
  decided: () => Promise.reject(new Error('unused')),
  head: () => head,
  writable: () => true,
};
const places = { doors: ['door'], zones: [], services: [] };

/** A bus in the hands of the test. */
class HeldBus implements MessageBus {
  readonly published: UpMessage[] = [];
  handlers: BusHandlers | undefined;
  stopped = false;
  answers = true;

  async start(handlers: BusHandlers): Promise<void> {
    this.handlers = handlers;
  }
  async stop(): Promise<void> {
    this.stopped = true;
  }
  publish(message: UpMessage): Promise<PublishOutcome> {
    this.published.push(message);
    return this.answers ? Promise.resolve('taken') : new Promise(() => undefined);
  }
  said(): unknown[] {
    return this.published.map(({ kind, payload }) => [kind, readTerminalState(payload)?.presence]);
  }
}

describe('the link of a terminal with its server', () => {
  let bus: HeldBus;
  let clock: SimulatedClock;
  let link: ServerLink;
  const received: string[] = [];
  const told: string[] = [];
  const logged: string[] = [];

  beforeEach(async () => {
    bus = new HeldBus();
    head = undefined;
    clock = new SimulatedClock({ utcMs: 0 });
    received.length = 0;
    told.length = 0;
    logged.length = 0;
    link = new ServerLink({
      bus,
      clock,
      log: pino({}, { write: (line: string) => logged.push(JSON.parse(line).msg) }),
      terminal: { diagnostics: async () => diagnostics, places, journal },
      handlers: new Map([
        ['manifest', async () => void received.push('manifest')],
        ['revocation', async () => void received.push('revocation')],
        ['command', () => Promise.reject(new Fault('policy-unwritable', 'the disk is full'))],
        [
          'group',
          () => {
            throw new TypeError('a bug');
          },
        ],
      ]),
      participants: [
        { connected: () => told.push('connected'), lost: () => told.push('lost') },
        { connected: () => told.push('connected too'), lost: () => undefined },
      ],
    });
    await link.start();
  });
  const connect = async () => {
    bus.handlers?.changed({ kind: 'connected' });
    await clock.advanceAsync(0);
  };

  it('says how the terminal is at each connection and every minute, without its parameters', async () => {
    expect(bus.published).toEqual([]);
    await connect();
    expect(bus.said()).toEqual([['state', 'here']]);
    expect(new TextDecoder().decode(bus.published[0]?.payload)).not.toContain('long');
    await clock.advanceAsync(2 * stateEveryMs);
    expect(bus.published).toHaveLength(3);
    bus.handlers?.changed({ kind: 'away' });
    await clock.advanceAsync(2 * stateEveryMs);
    expect(bus.published).toHaveLength(3);
    await connect();
    await clock.advanceAsync(stateEveryMs);
    expect(bus.published).toHaveLength(5);
  });

  it('names its journal once that can be read', async () => {
    const named = () =>
      bus.published.map(({ payload }) => {
        const state = readTerminalState(payload);
        return state?.presence === 'here' ? state.incarnation : state;
      });
    await connect();
    head = { terminal: 'lobby', incarnation: 'a', sequence: 1, hash: '' };
    await clock.advanceAsync(stateEveryMs);
    expect(named()).toEqual([undefined, 'a']);
  });

  it('goes on where what it says cannot be sent', async () => {
    bus.publish = async () => {
      throw new TypeError('a payload of too many bytes');
    };
    await connect();
    expect(logged).toEqual(['connected to the server', 'the state was not told']);
    await clock.advanceAsync(stateEveryMs);
    expect(logged).toHaveLength(3);
  });

  it('takes leave, and waits for nobody to hear it', async () => {
    await connect();
    bus.answers = false;
    const stopped = link.stop();
    await clock.advanceAsync(500);
    await stopped;
    expect(bus.said().at(-1)).toEqual(['state', 'gone']);
    expect([bus.stopped, clock.pendingTimers()]).toEqual([true, 0]);
  });

  it('leaves without a word where nobody is reached', async () => {
    await link.stop();
    expect([bus.stopped, bus.published]).toEqual([true, []]);
  });

  it('leaves with the broker what to say when it is lost', () => {
    expect(readTerminalState(lastWill().payload)).toMatchObject({ presence: 'gone', why: 'lost' });
  });

  it('passes on what the server says, by its kind', async () => {
    for (const kind of ['manifest', 'ack', 'revocation'] as const) {
      await bus.handlers?.received({ kind, payload: new Uint8Array() });
    }
    expect(received).toEqual(['manifest', 'revocation']);
  });

  it('goes on hearing after a message that could not be taken', async () => {
    for (const kind of ['command', 'group', 'manifest'] as const) {
      await expect(bus.handlers?.received({ kind, payload: new Uint8Array() })).resolves.toBeUndefined();
    }
    expect(received).toEqual(['manifest']);
    expect(logged).toEqual(Array(2).fill('a message of the server could not be taken'));
  });

  it('tells those who take part whether the server is reached, each change once', async () => {
    bus.handlers?.changed({ kind: 'away' });
    await connect();
    bus.handlers?.changed({ kind: 'away' });
    bus.handlers?.changed({ kind: 'away' });
    await connect();
    expect(told).toEqual(['connected', 'connected too', 'lost', 'connected', 'connected too']);
  });

  it('tells why it is not connected once, not at each try', async () => {
    const fault = { code: 'broker-refused', message: 'refused' } as const;
    bus.handlers?.changed({ kind: 'away', fault });
    bus.handlers?.changed({ kind: 'away', fault });
    expect(logged).toEqual(['refused']);
    await connect();
    bus.handlers?.changed({ kind: 'away', fault });
    expect(logged).toEqual(['refused', 'connected to the server', 'refused']);
  });
});
