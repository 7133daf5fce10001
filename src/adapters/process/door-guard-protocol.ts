import type { HardwarePart } from '#core/access/door-wiring.ts';
import type { DoorInput } from '#ports/door.ts';
import type { Indication } from '#ports/indicator.ts';

/** What the guard offers to the terminal process; a type alias, so that it satisfies `Offer`. */
export type GuardOffer = {
  readonly open: (parts: readonly HardwarePart[]) => Promise<void>;
  readonly startDoor: (door: string) => Promise<void>;
  readonly unlock: (command: { door: string; limitMs: number; cause?: string }) => Promise<void>;
  readonly lock: (door: string) => Promise<void>;
  readonly stopDoor: (door: string) => Promise<void>;
  readonly show: (shown: { reader: string; indication: Indication }) => void;
  /** the terminal's event loop turns */
  readonly alive: (_: undefined) => void;
};

/** What the terminal process offers to the guard. */
export type TerminalOffer = {
  readonly input: (told: { door: string; input: DoorInput }) => void;
};

/** How often the terminal says that it lives, and how long its silence is borne while a strike is unlocked. */
export const aliveEveryMs = 200;
export const silenceLimitMs = 1_000;
export const silenceCheckMs = 100;
