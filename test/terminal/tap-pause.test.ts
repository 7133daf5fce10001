import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { TapPause } from '#terminal/tap-pause.ts';

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
