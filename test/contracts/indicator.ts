import { describe, expect, it } from 'vitest';
import { type Indication, type Indicator, indications } from '#ports/indicator.ts';
import type { SimulatedClock } from '#simulators/clock/simulated-clock.ts';

/** An indicator under test and what somebody at the reader perceives of it. */
export interface IndicatorRig {
  readonly indicator: Indicator;
  /** a description of what can be seen and heard during the next `ms` milliseconds: equal when it looks equal */
  perceive(ms: number): Promise<string>;
  /** takes the lamps away, and brings them back */
  cut(): unknown;
  repair(): unknown;
  close(): Promise<void>;
}

/**
 * What is perceived of lamps on `lines`, which are lit at the level that `active` says: which of them, every `everyMs`
 * milliseconds of a simulated time, in which no lamp blinks unnoticed.
 */
export function perceptionOf({
  lines,
  active,
  level,
  clock,
  everyMs = 10,
}: WatchedLamps): IndicatorRig['perceive'] {
  const lit = active === 'high' ? 1 : 0;
  return async (ms) => {
    const frames: string[] = [];
    for (let passed = 0; passed < ms; passed += everyMs) {
      frames.push(lines.map((line) => (level(line) === lit ? '1' : '0')).join(''));
      clock.advance(everyMs);
    }
    return frames.join(' ');
  };
}

interface WatchedLamps {
  readonly lines: readonly number[];
  readonly active: 'high' | 'low';
  readonly level: (line: number) => number | undefined;
  readonly clock: Pick<SimulatedClock, 'advance'>;
  readonly everyMs?: number;
}

/** What every implementation of Indicator does. */
export function describeIndicator(name: string, openRig: () => Promise<IndicatorRig>): void {
  describe(`indicator: ${name}`, () => {
    it('shows every indication differently from every other', async () => {
      const rig = await openRig();
      const seen = new Map<string, Indication>();
      for (const indication of indications) {
        rig.indicator.show(indication);
        const perceived = await rig.perceive(3_000);
        expect(seen.get(perceived)).toBeUndefined();
        seen.set(perceived, indication);
      }
      await rig.close();
    });

    it('shows the last of several', async () => {
      const rig = await openRig();
      rig.indicator.show('granted');
      const granted = await rig.perceive(3_000);
      for (const indication of indications) rig.indicator.show(indication);
      rig.indicator.show('granted');
      expect(await rig.perceive(3_000)).toBe(granted);
      await rig.close();
    });

    it('never throws, and shows again once its lamps are back', async () => {
      const rig = await openRig();
      rig.indicator.show('granted');
      const granted = await rig.perceive(3_000);
      await rig.cut();
      for (const indication of indications) rig.indicator.show(indication);
      await rig.repair();
      rig.indicator.show('granted');
      expect(await rig.perceive(3_000)).toBe(granted);
      await rig.close();
    });
  });
}
