import { z } from 'zod';
import type { Tap } from './rule.ts';

/** When a fact became one, so that the time since can be told whatever clocks and power do meanwhile. */
export const momentSchema = z.strictObject({
  terminal: z.string(),
  utcMs: z.number(),
  trusted: z.boolean(),
  monotonicMs: z.number(),
  bootId: z.string(),
});
export type Moment = z.output<typeof momentSchema>;

type Now = Pick<Tap, 'state' | 'time' | 'timeMs'>;

export function momentOf({ state, time, timeMs }: Now): Moment {
  const { trusted, monotonicMs, bootId } = time;
  return { terminal: state.terminal, utcMs: timeMs, trusted, monotonicMs, bootId };
}

/**
 * Milliseconds that have surely passed since `moment`, never more: within one boot by the clock that never steps; over
 * a reboot this boot's own age, or what the clock says where it was trusted then and is now; of another terminal's
 * moment, the clock alone.
 */
export function passedMs(moment: Moment, { state, time, timeMs }: Now): number {
  const own = moment.terminal === state.terminal;
  if (own && moment.bootId === time.bootId) return Math.max(0, time.monotonicMs - moment.monotonicMs);
  const byClock = moment.trusted && time.trusted ? timeMs - moment.utcMs : 0;
  return Math.max(0, byClock, own ? time.monotonicMs : 0);
}

/** Whether `moment` lies in this boot of this terminal and at most `windowMs` back: a reboot ends every window. */
export function isWithin(windowMs: number, moment: Moment, { state, time }: Now): boolean {
  if (moment.terminal !== state.terminal || moment.bootId !== time.bootId) return false;
  const passed = time.monotonicMs - moment.monotonicMs;
  return passed >= 0 && passed <= windowMs;
}
