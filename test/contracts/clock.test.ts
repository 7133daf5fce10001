import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SystemClock } from '#adapters/os/clock.ts';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import type { Clock } from '#ports/clock.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';

function describeClock(
  name: string,
  build: () => { clock: Clock; pass: (ms: number) => Promise<void> },
): void {
  describe(`clock: ${name}`, () => {
    it('runs timers once, in the order they come due, and not when cancelled', async () => {
      const { clock, pass } = build();
      const ran: string[] = [];
      const last = new Promise<void>((resolve) => {
        clock.after(60, () => {
          ran.push('third');
          resolve();
        });
      });
      clock.after(30, () => ran.push('second'));
      clock.after(5, () => ran.push('first'));
      const cancel = clock.after(10, () => ran.push('cancelled'));
      cancel();
      await pass(100);
      await last;
      expect(ran).toEqual(['first', 'second', 'third']);
      cancel();
    });

    it('counts monotonic time in microseconds from before a timer to after it', async () => {
      const { clock, pass } = build();
      const beforeUs = clock.monotonicUs();
      const fired = new Promise<number>((resolve) => {
        clock.after(20, () => resolve(clock.monotonicUs()));
      });
      await pass(20);
      const passedUs = (await fired) - beforeUs;
      expect(passedUs).toBeGreaterThanOrEqual(19_000);
      expect(passedUs).toBeLessThan(10_000_000);
      expect(Number.isSafeInteger(beforeUs)).toBe(true);
    });

    it('names its boot the same way each time', () => {
      const { clock } = build();
      expect(clock.bootId()).toMatch(/^[0-9a-f-]{36}$/);
      expect(clock.bootId()).toBe(clock.bootId());
    });
  });
}

describeClock('system', () => ({ clock: new SystemClock(), pass: () => Promise.resolve() }));
describeClock('simulated', () => {
  const clock = new SimulatedClock({ utcMs: Date.UTC(2026, 3, 1) });
  return { clock, pass: (ms) => clock.advanceAsync(ms) };
});

describe('the simulated clock', () => {
  it('steps UTC without touching monotonic time or timers', () => {
    const clock = new SimulatedClock({ utcMs: Date.UTC(2026, 3, 1) });
    let ran = 0;
    clock.after(1_000, () => {
      ran += 1;
    });
    const beforeUs = clock.monotonicUs();
    clock.stepUtc(-3_600_000);
    expect(clock.utcMs()).toBe(Date.UTC(2026, 2, 31, 23));
    expect(clock.monotonicUs()).toBe(beforeUs);
    clock.advance(999);
    expect(ran).toBe(0);
    clock.advance(1);
    expect(ran).toBe(1);
    expect(clock.utcMs()).toBe(Date.UTC(2026, 2, 31, 23, 0, 1));
  });

  it('runs timers that timers set, at their own moment', () => {
    const clock = new SimulatedClock({ utcMs: 0 });
    const at: number[] = [];
    clock.after(10, () => clock.after(10, () => at.push(clock.utcMs())));
    clock.advance(100);
    expect(at).toEqual([20]);
    expect(clock.pendingTimers()).toBe(0);
  });

  it('loses timers and monotonic time at a reboot, and keeps UTC', () => {
    const clock = new SimulatedClock({ utcMs: 5_000 });
    clock.after(10, () => expect.unreachable());
    clock.advance(5);
    clock.reboot('00000000-0000-4000-8000-000000000002');
    clock.advance(100);
    expect(clock.bootId()).toBe('00000000-0000-4000-8000-000000000002');
    expect(clock.utcMs()).toBe(5_105);
  });
});

describe('whether the system clock is trusted', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'kazasu-clock-'));
  });
  afterEach(() => rmSync(directory, { recursive: true }));
  const build = () =>
    new SystemClock({ markers: [join(directory, 'synchronized')], rtcFile: join(directory, 'hctosys') });

  it.each([
    ['2000-01-01', false],
    ['2025-12-31', false],
    ['2026-11-22', true],
    ['2060-01-01', false],
  ])('by a battery that says %s: %s', (date, trusted) => {
    writeFileSync(join(directory, 'hctosys'), '1\n');
    vi.setSystemTime(date);
    try {
      expect(build().trusted()).toBe(trusted);
    } finally {
      vi.useRealTimers();
    }
  });

  it('no, while nothing says so', () => {
    expect(build().trusted()).toBe(false);
  });
  it('yes, once the time daemon has synchronised, until the machine restarts', () => {
    writeFileSync(join(directory, 'synchronized'), '');
    const clock = build();
    expect(clock.trusted()).toBe(true);
    rmSync(join(directory, 'synchronized'));
    expect(clock.trusted()).toBe(true);
  });
  it('yes, when the kernel set it from a battery-kept clock', () => {
    writeFileSync(join(directory, 'hctosys'), '1\n');
    expect(build().trusted()).toBe(true);
  });
  it('no, when there is such a clock that the kernel did not use', () => {
    writeFileSync(join(directory, 'hctosys'), '0\n');
    expect(build().trusted()).toBe(false);
  });
});

it('entropy gives as many bytes as asked for, never the same', () => {
  const entropy = new SystemEntropy();
  expect(entropy.bytes(0)).toHaveLength(0);
  expect(entropy.bytes(32)).toHaveLength(32);
  expect(entropy.bytes(32)).not.toEqual(entropy.bytes(32));
});
