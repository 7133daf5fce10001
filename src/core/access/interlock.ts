import type { DoorSettings } from './door-settings.ts';
import type { DoorMode, DoorState } from './door-state.ts';

/** A door as its controller knows it. */
export interface WatchedDoor {
  readonly state: DoorState;
  readonly settings: DoorSettings;
}

/** What a door has to do with others at the moment its strike would move. */
export interface Surroundings {
  /** the other doors of its interlocks */
  readonly others: readonly WatchedDoor[];
  /** fire or evacuation: nobody is kept between two doors */
  readonly emergency: boolean;
}

/** Why a decision that grants opens nothing: it was made before, and this is what has become of the door since. */
export type Refusal = 'evacuation' | 'lockdown' | 'interlock-busy';

/** What a command to unlock a door runs into: a card is let in by rules, a command lets in whoever stands there. */
export type Objection = 'fire' | 'tampered' | Refusal;

/**
 * Whether a door is known to be locked and closed, and to stay so until it is asked: not held, every command answered, no
 * fault, the leaf closed where a contact tells. Of a leaf just in somebody's hand (`grace`), and of one not heard of yet, that is not known.
 */
export function secured({ state, settings }: WatchedDoor): boolean {
  const { mode, strike, leaf, lockFailed, fault, commandsInFlight } = state;
  // what is to be held unlocked unlocks again by itself once its hardware does
  const quiet = mode.kind !== 'held' && commandsInFlight === 0 && !lockFailed && fault === undefined;
  return strike.kind === 'locked' && quiet && (leaf.kind === 'closed' || settings.contact === 'none');
}

/**
 * What a grant runs into now, in the order of precedence: fire and evacuation, exit request (which never comes here),
 * lockdown, interlock. A door that is held unlocked lets everybody in. `exempt`: lockdown does not keep this holder out.
 */
export function refusalOf(
  { mode }: DoorState,
  { others, emergency }: Surroundings,
  exempt: boolean,
): Refusal | undefined {
  if (mode.kind === 'lockdown') {
    if (!exempt) return 'lockdown';
  } else if (mode.kind === 'held') return undefined;
  return emergency || others.every(secured) ? undefined : 'interlock-busy';
}

/**
 * The mode a door takes when `wanted` is wanted: one that is to be held unlocked waits until the other doors of its
 * interlocks are secured, but for fire and evacuation; of several that these held, the last one stays so.
 */
export function modeWithin(
  { state }: WatchedDoor,
  wanted: DoorMode,
  { others, emergency }: Surroundings,
): DoorMode {
  if (wanted.kind !== 'held' || emergency) return wanted;
  const free =
    state.mode.kind === 'held'
      ? others.every((one) => one.state.mode.kind !== 'held')
      : others.every(secured);
  return free ? wanted : { kind: 'normal' };
}
