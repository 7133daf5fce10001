import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { TapPause } from '#terminal/tap-pause.ts';
import { Bench } from './terminal-fixture.ts';

describe('work that gives way to taps', () => {
  it('begins when nobody stands at a reader any more, and at last all the same', async () => {
    const clock = new SimulatedClock({ utcMs: 0 });
    let underWay = false;
    const taps = new TapPause({ clock, tapUnderWay: () => underWay });
    await taps.over();
    underWay = true;
    let over = 0;
    const wait = () =>
      taps.over().then(() => {
        over += 1;
      });
    void wait();
    await clock.advanceAsync(500);
    expect(over).toBe(0);
    underWay = false;
    await clock.advanceAsync(50);
    expect(over).toBe(1);
    underWay = true;
    void wait();
    await clock.advanceAsync(1_900);
    expect(over).toBe(1);
    await clock.advanceAsync(200);
    expect(over).toBe(2);
  });
});

describe('whether somebody stands at a reader', () => {
  it('is so from the coming of a card until what comes of it is known, or it has left', async () => {
    const bench = new Bench();
    bench.permit('A000000001');
    await bench.terminal.start();
    expect(bench.terminal.tapUnderWay()).toBe(false);
    bench.claim();
    expect(bench.terminal.tapUnderWay()).toBe(true);
    bench.readers.events?.cardRemoved('reader-1');
    expect(bench.terminal.tapUnderWay()).toBe(false);
    const { promise, resolve } = Promise.withResolvers<void>();
    const append = bench.journal.append.bind(bench.journal);
    bench.journal.append = async (records) => {
      await promise;
      return append(records);
    };
    await bench.tap(undefined, 'reader-2');
    bench.readers.events?.cardRemoved('reader-2');
    expect(bench.terminal.tapUnderWay()).toBe(true);
    resolve();
    await bench.settle();
    expect(bench.decisions()).toHaveLength(1);
    expect(bench.terminal.tapUnderWay()).toBe(false);
    await bench.terminal.stop();
  });
});
