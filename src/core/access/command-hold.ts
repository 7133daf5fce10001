import { z } from 'zod';
import { type AccessState, factOf, type StateChange } from './access-state.ts';
import type { DecisionTime } from './rule.ts';

/**
 * What an operator's command holds a door unlocked by: for some time by the clock that never steps, over with the boot
 * it began in; or until a moment by the clock, which outlasts a reboot and holds only while the clock is trusted.
 */
const holdSchema = z.union([
  z.strictObject({ bootId: z.string(), untilMonotonicMs: z.number() }),
  z.strictObject({ untilMs: z.number() }),
]);

type Shared = Pick<AccessState, 'shared'>;

/** Holds `doorId` unlocked for `forMs`, or until `untilMs` (UTC). */
export function holdByCommand(
  doorId: string,
  end: { readonly forMs: number } | { readonly untilMs: number },
  { bootId, monotonicMs }: DecisionTime,
): StateChange {
  const value =
    'forMs' in end ? { bootId, untilMonotonicMs: monotonicMs + end.forMs } : { untilMs: end.untilMs };
  return { key: keyOf(doorId), value };
}

/** Ends what a command holds. */
export function endHoldByCommand(doorId: string): StateChange {
  return { key: keyOf(doorId) };
}

/** How long a command still holds the door unlocked, in milliseconds; 0 where none does. */
export function holdLeftMs(doorId: string, state: Shared, time: DecisionTime): number {
  const key = keyOf(doorId);
  const hold = factOf(holdSchema, key, state.shared(key));
  if (!hold) return 0;
  if ('untilMs' in hold) return time.trusted ? Math.max(0, hold.untilMs - time.utcMs) : 0;
  return hold.bootId === time.bootId ? Math.max(0, hold.untilMonotonicMs - time.monotonicMs) : 0;
}

export function heldByCommand(doorId: string, state: Shared, time: DecisionTime): boolean {
  return holdLeftMs(doorId, state, time) > 0;
}

function keyOf(doorId: string): string {
  return `command-hold/${doorId}`;
}
