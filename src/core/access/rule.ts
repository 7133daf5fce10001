import type { AssuranceProperty, Reading } from '#core/card/reading.ts';
import type { JsonValue } from '#core/journal/record.ts';
import type { AccessState, StateChange } from './access-state.ts';
import type { DenialReason, Obligations, TapAlarm, WaitReason } from './decision.ts';
import type { PolicySlice } from './policy.ts';

/**
 * The time of a decision. `floorMs` is the floor of time-floor.ts: while the clock is not known to be right, time never
 * counts as earlier than that, so that a clock stepped back revives no expired permission.
 */
export interface DecisionTime {
  readonly utcMs: number;
  readonly floorMs: number;
  readonly trusted: boolean;
  /** milliseconds since some moment of this boot, which never step: short windows are measured in them */
  readonly monotonicMs: number;
  /** identity of this boot; a window begun in another one is over */
  readonly bootId: string;
}

/** What is asked for: one tap at one reader of one door. */
export interface TapRequest {
  readonly doorId: string;
  readonly readerId: string;
  /** identity of the tap, 32 hexadecimal digits */
  readonly tapId: string;
  /** zones the reader leads from and to, where the terminal's configuration names them */
  readonly from?: string;
  readonly to?: string;
  /** zones that the door belongs to beside those */
  readonly zones?: readonly string[] | undefined;
  /** what the tap is for besides the door, where it is for anything */
  readonly service?: ServiceRequest;
  /** the holder added the digit of duress to the PIN */
  readonly duress?: true;
}

/** A service that the rules of the site describe; `item` names a thing to lend, and nobody. */
export interface ServiceRequest {
  readonly id: string;
  /** absent where coming and going follow each other by themselves */
  readonly action?: 'in' | 'out' | 'lend' | 'return' | undefined;
  readonly item?: string | undefined;
}

/** Everything a rule may look at, and nothing else: no clock, no chance, no other tap. */
export interface Tap {
  readonly reading: Reading;
  readonly request: TapRequest;
  readonly slice: PolicySlice;
  readonly state: AccessState;
  readonly time: DecisionTime;
  /** the time that counts, milliseconds UTC: `effectiveMs(time)` */
  readonly timeMs: number;
}

/** What a rule found, in few words of data, so that the decision can be explained; never a holder's id or number. */
export type Used = { readonly [name: string]: JsonValue };

/**
 * What one rule says of a tap. The first `denied` ends the decision; `needs` and `waits` count when nothing denies;
 * what `passed` asks for (changes, obligations) counts only if the tap is granted.
 */
export type Verdict =
  | {
      readonly kind: 'passed';
      readonly used?: Used;
      readonly changes?: readonly StateChange[];
      readonly obligations?: Obligations;
      readonly alarms?: readonly TapAlarm[];
      /** rules of lower precedence object in vain */
      readonly outranks?: true;
    }
  | {
      readonly kind: 'denied';
      readonly reason: DenialReason;
      readonly used?: Used;
      readonly changes?: readonly StateChange[];
    }
  /** the reading lacks a property that the holder can still add on the open session */
  | { readonly kind: 'needs'; readonly property: Extract<AssuranceProperty, 'pin'>; readonly used?: Used }
  /** this tap is good and recorded, and opens nothing until something else has happened */
  | {
      readonly kind: 'waits';
      readonly reason: WaitReason;
      readonly used?: Used;
      readonly changes?: readonly StateChange[];
    };

/** One rule of the precedence table. `check` is pure; undefined where the policy has no such rule for this tap. */
export interface Rule {
  readonly name: RuleName;
  /** no rule above outranks what it objects */
  readonly outrankedByNone?: true;
  /** asked of who passes, and so of no tap that ends a hold: that opens nothing, and locks the door in any case */
  readonly ofPassing?: true;
  readonly check: (tap: Tap) => Verdict | undefined;
}

/** Names of the rules as decisions record them, in no order; the order is the precedence table of decide.ts. */
export type RuleName =
  | 'registration'
  | 'assurance'
  | 'evacuation'
  | 'lockdown'
  | 'master-card'
  | 'threat-level'
  | 'policy-age'
  | 'permission'
  | 'longer-access'
  | 'hold'
  | 'reader-lock-out'
  | 'holder-lock-out'
  | 'duress'
  | 'passback'
  | 'reentry'
  | 'occupancy'
  | 'two-person'
  | 'escort'
  | 'position'
  | 'service';
