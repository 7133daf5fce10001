import { Socket } from 'node:net';
import { beforeEach, describe, expect, it } from 'vitest';
import { Arrivals } from '#adapters/broker/arrivals.ts';

/** A connection from an address, without a network. */
class Caller extends Socket {
  constructor(remoteAddress: string, remotePort: number) {
    super();
    Object.defineProperties(this, {
      remoteAddress: { value: remoteAddress },
      remotePort: { value: remotePort },
    });
  }
}

const closed = (socket: Socket) => new Promise((resolve) => socket.once('close', resolve));

describe('connections of which it is not known who they are', () => {
  let nowMs = 0;
  let began: Socket[] = [];
  let refused = 0;
  let port = 0;
  let arrivals: Arrivals;
  beforeEach(() => {
    [nowMs, began, refused, port] = [0, [], 0, 1_000];
    arrivals = new Arrivals({
      limits: { handshakes: 4, waiting: 8 },
      begin: (socket) => began.push(socket),
      refused: () => {
        refused += 1;
      },
      nowMs: () => nowMs,
    });
  });
  const come = (address: string): Caller => {
    port += 1;
    const caller = new Caller(address, port);
    arrivals.add(caller);
    return caller;
  };
  const many = (count: number) => Array.from({ length: count }, (_, at) => come(`10.0.0.${at}`));

  it('begin their handshakes in the order they came, so many at once', async () => {
    const callers = many(7);
    expect(began).toEqual(callers.slice(0, 4));
    arrivals.through(callers[1] as Caller);
    expect(began).toEqual(callers.slice(0, 5));
    // one that is cut makes room as well, once
    const end = closed(callers[0] as Caller);
    callers[0]?.destroy();
    await end;
    expect(began).toEqual(callers.slice(0, 6));
    const again = closed(callers[1] as Caller);
    callers[1]?.destroy();
    await again;
    expect(began).toEqual(callers.slice(0, 6));
    expect([arrivals.waiting(), refused]).toEqual([1, 0]);
  });

  it('are cut where too many wait', () => {
    const callers = many(13);
    expect([arrivals.waiting(), refused]).toEqual([8, 1]);
    expect(callers.map(({ destroyed }) => destroyed).indexOf(true)).toBe(12);
  });

  it('of one address leave room for others', () => {
    const same = Array.from({ length: 6 }, () => come('10.0.0.1'));
    expect(began).toEqual(same.slice(0, 1));
    expect([arrivals.waiting(), refused]).toEqual([2, 3]);
    const other = come('10.0.0.2');
    expect(began).toEqual([same[0], other]);
    arrivals.through(same[0] as Caller);
    expect(began).toEqual([same[0], other, same[1]]);
  });

  it('are not served when they are about to give up', () => {
    const callers = many(7);
    nowMs = 8_001;
    const late = come('10.0.1.1');
    arrivals.through(callers[0] as Caller);
    expect(callers.map(({ destroyed }) => destroyed)).toEqual([false, false, false, false, true, true, true]);
    expect(began.at(-1)).toBe(late);
    expect([arrivals.waiting(), refused]).toEqual([0, 3]);
  });

  it('are cut when the broker stops', () => {
    const callers = many(6);
    arrivals.stop();
    expect(callers.map(({ destroyed }) => destroyed)).toEqual([false, false, false, false, true, true]);
  });
});
