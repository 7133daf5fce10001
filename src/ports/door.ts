import type { FaultRecord } from '#core/fault.ts';

/** What a door's wiring tells the terminal. */
export type DoorInput =
  | { readonly kind: 'contact'; readonly open: boolean }
  | { readonly kind: 'exit-request'; readonly pressed: boolean }
  | { readonly kind: 'tamper'; readonly active: boolean }
  /** the strike as read back from the hardware */
  | { readonly kind: 'strike'; readonly locked: boolean }
  | { readonly kind: 'fault'; readonly fault: FaultRecord }
  | { readonly kind: 'recovered' };

/**
 * The hardware of one door. Locked is the state at start, at stop and whenever the program dies; polarity,
 * fail-secure and fail-safe are the adapter's wiring and do not show here.
 */
export interface DoorHardware {
  /** Locks, then reports the present state of every input and each change of it. Rejects with a door fault. */
  start(onInput: (input: DoorInput) => void): Promise<void>;
  /**
   * Unlocks for at most `limitMs` milliseconds, after which the hardware side locks by itself even if nothing
   * more is heard; a further call extends it. Resolves when the output is set and, where possible, read back.
   */
  unlock(limitMs: number): Promise<void>;
  lock(): Promise<void>;
  /** Locks and releases the hardware. */
  stop(): Promise<void>;
}
