import type { AssuranceProperty } from '#core/card/reading.ts';

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
  'door-unknown',
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

/** What a decision rested on, so that it can be explained and replayed. */
export interface DecisionBasis {
  readonly policyVersion: number;
  readonly doorId: string;
  /** the time used: the clock, or the floor when the clock has stepped back; milliseconds UTC */
  readonly timeMs: number;
  readonly clock: 'trusted' | 'untrusted';
  readonly demanded: readonly AssuranceProperty[];
  /** the rule that granted: group and, where it has one, schedule */
  readonly permission?: { readonly groupId: string; readonly scheduleId?: string };
}

export type Decision =
  | { readonly kind: 'granted'; readonly basis: DecisionBasis }
  | { readonly kind: 'denied'; readonly reason: DenialReason; readonly basis: DecisionBasis }
  /** not yet: the reading lacks a property that the holder can still add on the open session */
  | { readonly kind: 'needs'; readonly property: 'pin'; readonly basis: DecisionBasis };
