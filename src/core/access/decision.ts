import type { AssuranceProperty } from '#core/card/reading.ts';
import type { StateChange } from './access-state.ts';
import type { RuleName, Used, Verdict } from './rule.ts';

/** Why a reading was denied: a closed set, each with a text for the holder and one for the operator (core/texts). */
export const denialReasons = [
  'unknown-card',
  'user-number-unknown',
  'profile-not-admitted',
  'key-version-ended',
  'card-not-registered',
  'card-suspended',
  'card-ended',
  'holder-suspended',
  'holder-ended',
  'not-yet-valid',
  'no-longer-valid',
  'no-permission',
  'outside-schedule',
  'time-unknown',
  'policy-too-old',
  'door-unknown',
  'evacuation',
  'lockdown',
  'interlock-busy',
  'clearance-insufficient',
  'locked-out',
  'already-inside',
  'not-inside',
  'too-soon',
  'zone-full',
  'group-apart',
  'service-unknown',
  'already-admitted',
  'no-uses-left',
  'loan-limit',
  'item-lent',
  'item-not-lent',
  'assurance-insufficient',
  'pin-wrong',
  'pin-blocked',
  'pin-withheld',
  'pin-not-entered',
  'pin-unavailable',
  'card-refused',
  'card-silent',
  'card-key-missing',
  'reading-too-slow',
  'timing-unusual',
  'policy-absent',
  'reader-virtual',
  'too-late',
  'fault',
] as const;
export type DenialReason = (typeof denialReasons)[number];

/** What a tap that is good still waits for: nothing opens, and nobody is refused. */
export const waitReasons = ['second-person', 'escort'] as const;
export type WaitReason = (typeof waitReasons)[number];

/** What a grant asks of the door beside unlocking it for its usual time. */
export interface Obligations {
  /** the door's longer access time, for whoever needs more of it */
  readonly longer?: true;
  readonly service?: ServiceResult;
  /** unlocks nothing: the card ends what holds the door unlocked */
  readonly locks?: true;
  /** of an elevator: the floors whose buttons are freed; without them all */
  readonly floors?: readonly string[];
}

/** What a granted tap is for the service it asked for. */
export interface ServiceResult {
  readonly id: string;
  /** `double`: the same as the tap just before, and not counted */
  readonly result: 'in' | 'out' | 'double' | 'admitted' | 'used' | 'lent' | 'returned';
  /** how many are left, as far as this terminal knows */
  readonly left?: number;
}

/**
 * What staff is told of a tap besides its decision, never the person at the door.
 * `duress`: entered under threat; `passback`: let through though the position does not fit; `locked-out`: this failure
 * was one too many.
 */
export type TapAlarm = 'duress' | 'passback' | 'locked-out';

/** One rule that had something to say, in the order of precedence. */
export interface PathStep {
  readonly rule: RuleName;
  /** `outranked`: it objected, and a rule of higher precedence had already let the tap through */
  readonly verdict: Verdict['kind'] | 'outranked';
  readonly used?: Used;
}

/** What a decision rested on, so that it can be explained and replayed. */
export interface DecisionBasis {
  readonly policyVersion: number;
  readonly doorId: string;
  /** the time used: the clock, or the floor when the clock has stepped back; milliseconds UTC */
  readonly timeMs: number;
  readonly clock: 'trusted' | 'untrusted';
  readonly demanded: readonly AssuranceProperty[];
  readonly path: readonly PathStep[];
}

/** What a decision leaves behind. */
interface Outcome {
  readonly basis: DecisionBasis;
  /** facts to become durable together with the journal entry of the decision */
  readonly changes: readonly StateChange[];
  readonly alarms: readonly TapAlarm[];
}

export type Decision =
  | (Outcome & { readonly kind: 'granted'; readonly obligations: Obligations })
  | (Outcome & { readonly kind: 'denied'; readonly reason: DenialReason })
  /** not yet: the reading lacks a property that the holder can still add on the open session */
  | { readonly kind: 'needs'; readonly property: 'pin'; readonly basis: DecisionBasis }
  /** not yet: recorded, and somebody else has to do something first */
  | (Outcome & { readonly kind: 'waits'; readonly reason: WaitReason });
