import { expect, it } from 'vitest';
import { SteadyClock } from '#issuance/journal/steady-clock.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';

const [hourMs, dayMs] = [3_600_000, 86_400_000];

it('a clock that was set to another time is gone by again after a day without that', () => {
  const clock = new SimulatedClock({ utcMs: Date.UTC(2026, 6, 1) });
  const steady = new SteadyClock({ clock });
  const looked = (hours: number): boolean[] =>
    Array.from({ length: hours }, () => {
      clock.advance(hourMs);
      return steady.look();
    });
  expect(looked(30)).not.toContain(false);
  // as a time server does to a clock that drifts
  clock.stepUtc(-2_000);
  expect(looked(3)).not.toContain(false);
  clock.stepUtc(3 * 365 * dayMs);
  expect(looked(2)).toEqual([false, false]);
  // put right, it is another step
  clock.stepUtc(-3 * 365 * dayMs);
  expect(looked(24)).not.toContain(true);
  expect(looked(2)).toEqual([true, true]);
});
