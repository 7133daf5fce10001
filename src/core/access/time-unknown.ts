import { z } from 'zod';
import { type DoorPolicy, scheduleOf } from './policy.ts';
import type { Tap } from './rule.ts';
import { inForce } from './schedule.ts';

/**
 * What holds at a door while the clock is not known to be right (no battery, not yet synchronised):
 * `floor`: time counts as the clock shows it, but never as earlier than the floor (time-floor.ts);
 * `deny`: whatever depends on time is denied, and a demand of any schedule counts;
 * `unscheduled`: a permission holds at any time, and a demand of any schedule counts. Limits of validity count as under
 * `floor`: nobody's access outlives its end.
 */
export const whileTimeUnknownConfig = z.enum(['floor', 'deny', 'unscheduled']).default('floor');
export type WhileTimeUnknown = z.output<typeof whileTimeUnknownConfig>;

type AtDoor = Pick<Tap, 'time' | 'timeMs'> & { readonly slice: DoorPolicy };

/** What the door does without a known time; undefined while the clock is trusted. */
export function timeUnknown({ time, slice }: Omit<AtDoor, 'timeMs'>): WhileTimeUnknown | undefined {
  return time.trusted ? undefined : (slice.rules.door?.whileTimeUnknown ?? 'floor');
}

/** Whether what the schedule `id` permits is permitted now. */
export function permittedBy(tap: AtDoor, id: string): boolean {
  const unknown = timeUnknown(tap);
  if (unknown === 'deny' || unknown === 'unscheduled') return unknown === 'unscheduled';
  return holdsNow(tap, id);
}

/** Whether what the schedule `id` demands is demanded now. */
export function demandedBy(tap: AtDoor, id: string): boolean {
  const unknown = timeUnknown(tap);
  return unknown === 'deny' || unknown === 'unscheduled' || holdsNow(tap, id);
}

function holdsNow({ slice: { rules, version }, timeMs }: AtDoor, id: string): boolean {
  return inForce(scheduleOf(rules, id), timeMs, version.timeZone);
}
