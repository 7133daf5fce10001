import { normal } from './random.ts';

/** How the clock of a device is wrong. */
export interface ClockError {
  /** what it shows when it is `utcMs` */
  shows(utcMs: number): number;
  readonly state: 'trusted' | 'untrusted';
}

const hourMs = 3_600_000;

/**
 * Clocks of devices in use: most are right within a few seconds; of a hundred, three are off by hours or zones that
 * somebody set by hand, one lost its battery, and one runs a thousandth too fast.
 */
export function clockErrorOf(random: () => number): ClockError {
  const kind = random();
  const aroundMs = normal(random, 0, 800);
  if (kind < 0.01) return { shows: (utcMs) => utcMs % (24 * hourMs), state: 'untrusted' };
  if (kind < 0.04) {
    const offMs = Math.round(normal(random, 0, 9)) * hourMs + aroundMs;
    return { shows: (utcMs) => utcMs + offMs, state: 'untrusted' };
  }
  if (kind < 0.05) return { shows: (utcMs) => utcMs + (utcMs % (24 * hourMs)) / 1_000, state: 'trusted' };
  return { shows: (utcMs) => utcMs + aroundMs, state: 'trusted' };
}
