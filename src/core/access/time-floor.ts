import { z } from 'zod';

/** A moment as one journal entry has it. */
interface ClockReading {
  readonly atMs: number;
  readonly monotonicUs: number;
  readonly bootId: string;
  readonly clock: 'trusted' | 'untrusted';
}

/** how far an untrusted clock may move the floor ahead in one boot, beyond the time that has surely passed */
const liftMs = 86_400_000;

/**
 * The time below which no time counts while the clock is untrusted, in milliseconds UTC, as of one moment of a boot.
 * `liftMs` is what an untrusted clock may still add to it in that boot.
 */
export const timeFloorSchema = z.strictObject({
  atMs: z.number(),
  monotonicUs: z.number(),
  bootId: z.string(),
  liftMs: z.number(),
});
export type TimeFloor = z.output<typeof timeFloorSchema>;

/**
 * The floor after a reading of the clock. A trusted clock says where it is, also lower: one wrong time is forgotten at
 * the next right one. An untrusted clock moves it ahead by what has surely passed, and by a day in each boot for the
 * time the power was off: one that jumps ten years ahead does not turn everybody away when it is right again. The first
 * reading is taken as it is, since nothing speaks against it.
 */
export function floorAfter(floor: TimeFloor | undefined, reading: ClockReading): TimeFloor {
  const { atMs, monotonicUs, bootId } = reading;
  // entries reach the disk in another order than their moments where one has had to wait
  if (floor?.bootId === bootId && monotonicUs < floor.monotonicUs) return floor;
  if (!floor || reading.clock === 'trusted') return { atMs, monotonicUs, bootId, liftMs };
  const sureMs = floorAt(floor, reading);
  const left = floor.bootId === bootId ? floor.liftMs : liftMs;
  const lift = Math.min(left, Math.max(0, atMs - sureMs));
  return { atMs: sureMs + lift, monotonicUs, bootId, liftMs: left - lift };
}

/** The floor at a moment, milliseconds UTC: in its own boot it moves on with the clock that never steps. */
export function floorAt(floor: TimeFloor, now: Pick<ClockReading, 'monotonicUs' | 'bootId'>): number {
  if (floor.bootId !== now.bootId) return floor.atMs;
  return floor.atMs + Math.max(0, Math.floor((now.monotonicUs - floor.monotonicUs) / 1_000));
}
