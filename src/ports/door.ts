import type { FaultRecord } from '#core/fault.ts';
import type { Indicator } from './indicator.ts';

/** What a door's wiring tells the terminal. */
export type DoorInput =
  | { readonly kind: 'contact'; readonly open: boolean }
  | { readonly kind: 'exit-request'; readonly pressed: boolean }
  | { readonly kind: 'tamper'; readonly active: boolean }
  /** somebody stands where a gate closes */
  | { readonly kind: 'obstruction'; readonly active: boolean }
  /** becomes active once for each person who passes a gate */
  | { readonly kind: 'passage'; readonly active: boolean }
  /** the strike as read back from the hardware */
  | { readonly kind: 'strike'; readonly locked: boolean }
  | { readonly kind: 'fault'; readonly fault: FaultRecord }
  /** `strikeKept`: inputs were lost and are heard again, and the strike has stayed as it was commanded */
  | { readonly kind: 'recovered'; readonly strikeKept?: true };

/**
 * The hardware of one door. Locked is the state at start, at stop and whenever the program dies; polarity,
 * fail-secure and fail-safe are the adapter's wiring and do not show here.
 */
export interface DoorHardware {
  /**
   * Locks, then reports the present state of the strike and, as soon as it has lasted, of every input fitted, and from
   * then on each change.
   * Hardware that is absent or fails is reported as `fault`, tried again in the background, and reported as
   * `recovered` once it is locked again; a failure never rejects. An input that is lost keeps neither the strike nor
   * another input from working.
   */
  start(onInput: (input: DoorInput) => void): Promise<void>;
  /**
   * Unlocks for at most `limitMs` milliseconds, after which the hardware side locks by itself even if nothing
   * more is heard; a further call sets the limit anew. Resolves when the output is set and, where possible, read
   * back; rejects with a door fault, also when told to lock before it could. `cause` (the tap) goes into the records of hardware that keeps any.
   */
  unlock(limitMs: number, cause?: string): Promise<void>;
  /** Resolves when locked. Rejects with a door fault, and goes on trying until it is locked (`recovered`). */
  lock(): Promise<void>;
  /** Locks and releases the hardware. */
  stop(): Promise<void>;
}

/** The hardware one adapter module drives, by door id and by reader id. */
export interface DoorHardwareSet {
  readonly doors: ReadonlyMap<string, DoorHardware>;
  readonly indicators: ReadonlyMap<string, Indicator>;
}

/**
 * What a hardware module exports. `options` is what was checked as configuration and made for this module
 * (`hardwareParts`): a module that checks it again makes the guard of the doors, and whatever locks them, start later.
 */
export interface DoorHardwareModule {
  openHardware(options: unknown): Promise<DoorHardwareSet>;
}
