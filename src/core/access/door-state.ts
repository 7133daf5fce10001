import type { FaultCode, FaultRecord } from '#core/fault.ts';
import type { GrantTimes } from './door-settings.ts';

/** Why a door is held unlocked, the weightiest first. */
export const holdCauses = ['fire', 'evacuation', 'command', 'timed-hold', 'toggle', 'schedule'] as const;
export type HoldCause = (typeof holdCauses)[number];

/** What a door does while nobody asks anything of it; door-mode.ts says which of them is wanted. */
export type DoorMode =
  | { readonly kind: 'normal' }
  | { readonly kind: 'held'; readonly by: HoldCause }
  /** grants open nothing but for those whom lockdown exempts; exit requests do */
  | { readonly kind: 'lockdown' };

/**
 * Why the strike is unlocked. The longest time asked for counts, an exit request outranks a grant, and what is asked
 * for while the door is held unlocked runs above the hold and ends in it.
 */
export interface Release {
  readonly by: 'grant' | 'exit-request' | 'hold';
  readonly lengthMs: number;
  /** the tap that asked last */
  readonly tapId?: string;
  /** how long the leaf may stand open where the holder needs longer than others, in milliseconds */
  readonly heldOpenMs?: number;
  /** ended, and unlocked only until nobody stands in the gate any more */
  readonly over?: true;
  /** somebody has asked to get out while it ran, and has the time of an exit request when it ends */
  readonly exitAsked?: true;
  /** somebody has asked to leave by the handle meanwhile: an opening after the relock is theirs for as long as they have */
  readonly shunted?: true;
  /**
   * `used` once the leaf has opened under it, so that closing ends it; `shared` when it began while the leaf was
   * open: whoever asked may have passed already, or may still want to open.
   */
  readonly use: 'unused' | 'used' | 'shared';
}

/** The strike as last commanded. */
type Strike = { readonly kind: 'locked' } | { readonly kind: 'unlocked'; readonly release: Release };

/** The leaf as the contact tells it; that of a door without a contact stays `unknown`. */
type Leaf =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'closed' }
  /** the strike has just relocked without an opening: one now still belongs to `release` */
  | { readonly kind: 'grace'; readonly release: Release }
  | {
      readonly kind: 'open';
      readonly held: 'no' | 'warned' | 'held';
      /** the contact is closed, not yet for long enough to be believed */
      readonly settling: boolean;
      /** who opened it: behind an exit request anybody may pass */
      readonly by?: Release['by'];
    }
  /** opened while locked, with neither grant nor exit request */
  | { readonly kind: 'forced'; readonly settling: boolean };

export interface DoorState {
  readonly strike: Strike;
  readonly leaf: Leaf;
  readonly exit: 'idle' | 'pressed' | 'stuck';
  /** fire or evacuation where the door is: then a stuck exit request unlocks as any other does */
  readonly emergency: boolean;
  readonly tampered: boolean;
  readonly mode: DoorMode;
  /** how often in a row hardware has locked a door that is to be held unlocked */
  readonly holdLosses: number;
  /** taps granted whose holders have not opened or passed yet, in their order */
  readonly awaiting: readonly string[];
  /** somebody stands where the gate closes; `delaying`: for longer than closing may be kept waiting */
  readonly obstruction: 'clear' | 'present' | 'delaying';
  /** somebody has just passed the gate for whom it was not open */
  readonly tailgated: boolean;
  /** a lock command failed and the hardware has not reported the strike locked since */
  readonly lockFailed: boolean;
  readonly fault?: FaultCode;
  /** commands the hardware has not answered; until it has, a strike read back may be older than they are */
  readonly commandsInFlight: number;
}

export type DoorTimer =
  | 'strike'
  | 'grace'
  | 'settle'
  | 'pre-alarm'
  | 'held-open'
  | 'exit-stuck'
  | 'obstructed'
  | 'tailgated';
export type DoorAlarm =
  | 'forced-open'
  | 'held-open-pre-alarm'
  | 'held-open'
  | 'exit-request-stuck'
  | 'obstructed'
  | 'tailgated'
  | 'tamper'
  | 'lock-failed';

export type DoorMachineInput =
  /** a durable decision that may open now (interlock.ts); times are `grantTimes` of the settings */
  | ({ readonly kind: 'grant'; readonly tapId: string } & GrantTimes)
  | { readonly kind: 'mode'; readonly mode: DoorMode; readonly emergency?: boolean }
  | { readonly kind: 'contact'; readonly open: boolean }
  | { readonly kind: 'exit-request'; readonly pressed: boolean }
  | { readonly kind: 'tamper'; readonly active: boolean }
  /** somebody stands where the gate closes */
  | { readonly kind: 'obstruction'; readonly active: boolean }
  /** one person passes the gate; counted as it becomes active */
  | { readonly kind: 'passage'; readonly active: boolean }
  /** as read back from the hardware */
  | { readonly kind: 'strike'; readonly locked: boolean }
  | { readonly kind: 'fault'; readonly fault: FaultRecord }
  | { readonly kind: 'recovered'; readonly strikeKept?: true }
  /** the answer to each `unlock` and `lock` effect, in the order of the effects */
  | { readonly kind: 'actuated'; readonly command: 'unlock' | 'lock' }
  | { readonly kind: 'actuation-failed'; readonly command: 'unlock' | 'lock'; readonly fault: FaultRecord }
  | { readonly kind: 'timer'; readonly timer: DoorTimer };

/** What the journal records of a door. `-ended` closes the alarm of the same name. */
export const doorEvents = [
  'opened',
  'open-at-start',
  'closed',
  'relocked',
  'relocked-by-hardware',
  'held-unlocked',
  'hold-ended',
  'lockdown',
  'lockdown-ended',
  'unlocked-unexpectedly',
  'granted-not-opened',
  'passed',
  'tailgated',
  'obstructed',
  'obstructed-ended',
  'exit-request',
  'exit-request-stuck',
  'exit-request-stuck-ended',
  'forced-open',
  'forced-open-ended',
  'held-open-pre-alarm',
  'held-open',
  'held-open-ended',
  'tamper',
  'tamper-ended',
  'unlock-failed',
  'lock-failed',
  'fault',
  'recovered',
] as const;
export type DoorEvent = (typeof doorEvents)[number];

export interface DoorRecord {
  readonly kind: 'record';
  readonly event: DoorEvent;
  readonly by?: Release['by'];
  /** of a hold: why the door is held unlocked */
  readonly hold?: HoldCause;
  readonly tapId?: string;
  readonly fault?: FaultCode;
}

/** What the terminal does, in this order; commands to the strike stand before anything that may wait for a disk. */
export type DoorEffect =
  | { readonly kind: 'unlock'; readonly limitMs: number; readonly cause?: string }
  | { readonly kind: 'lock' }
  | { readonly kind: 'set-timer'; readonly timer: DoorTimer; readonly delayMs: number }
  | { readonly kind: 'cancel-timer'; readonly timer: DoorTimer }
  | { readonly kind: 'alarm'; readonly alarm: DoorAlarm; readonly on: boolean }
  /** what the door's readers show until something else happens */
  | { readonly kind: 'indicate'; readonly indication: DoorIndication }
  | DoorRecord;

export type DoorIndication = 'idle' | 'granted' | 'unlocked' | 'locked-down' | 'alarm' | 'fault';

/** The state before the hardware has started: it locks, then reports its inputs. */
export const initialDoorState: DoorState = {
  strike: { kind: 'locked' },
  leaf: { kind: 'unknown' },
  exit: 'idle',
  emergency: false,
  tampered: false,
  mode: { kind: 'normal' },
  holdLosses: 0,
  awaiting: [],
  obstruction: 'clear',
  tailgated: false,
  lockFailed: false,
  commandsInFlight: 0,
};

/** The alarms that stand in `state`. */
export function standingAlarms(state: DoorState): ReadonlySet<DoorAlarm> {
  const alarms = new Set<DoorAlarm>();
  if (state.leaf.kind === 'forced') alarms.add('forced-open');
  if (state.leaf.kind === 'open' && state.leaf.held === 'warned') alarms.add('held-open-pre-alarm');
  if (state.leaf.kind === 'open' && state.leaf.held === 'held') alarms.add('held-open');
  if (state.exit === 'stuck') alarms.add('exit-request-stuck');
  if (state.obstruction === 'delaying') alarms.add('obstructed');
  if (state.tailgated) alarms.add('tailgated');
  if (state.tampered) alarms.add('tamper');
  if (state.lockFailed) alarms.add('lock-failed');
  return alarms;
}

/** What the readers of a door show while no tap is going on. An exit request shows nothing outside. */
export function restingIndication(state: DoorState): DoorIndication {
  if (standingAlarms(state).size > 0) return 'alarm';
  if (state.fault !== undefined) return 'fault';
  const unlockedBy = state.strike.kind === 'unlocked' ? state.strike.release.by : undefined;
  if (unlockedBy === 'grant') return 'granted';
  if (state.mode.kind === 'lockdown') return 'locked-down';
  return unlockedBy !== undefined && state.mode.kind === 'held' ? 'unlocked' : 'idle';
}

/** One word for a page or a status line. */
export function doorStateName(
  state: DoorState,
): 'locked' | 'unlocked' | 'open' | 'held-open' | 'forced-open' {
  if (state.leaf.kind === 'forced') return 'forced-open';
  if (state.leaf.kind === 'open') return state.leaf.held === 'held' ? 'held-open' : 'open';
  return state.strike.kind;
}
