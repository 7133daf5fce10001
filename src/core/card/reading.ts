import type { FaultRecord } from '#core/fault.ts';

/** Access methods of the source documents (利用方式): Type A, C, D and custom. */
export const accessMethods = ['type-a', 'type-c', 'type-d', 'custom'] as const;
export type AccessMethod = (typeof accessMethods)[number];

/** The properties a reading can have (認証強度); a door demands a set of them. */
export const assuranceProperties = [
  'mutual-authentication',
  'message-authentication',
  'encryption',
  'pin',
] as const;
export type AssuranceProperty = (typeof assuranceProperties)[number];
export type Assurance = readonly AssuranceProperty[];

/** Stages of a tap as measured where the card is spoken to, in microseconds. */
export interface ReadingTimings {
  /** connecting to the card, from the card event */
  readonly connectUs: number;
  /** all SELECTs, those of card APs the card did not have included */
  readonly selectUs: number;
  /** the authentication commands with their computation; 0 where the profile has none */
  readonly authenticateUs: number;
  /** of that, what the card took to answer: a relay shows here; 0 where the profile has no authentication */
  readonly authenticateCardUs: number;
  /** reading the user number */
  readonly readUs: number;
  /** exchanges with the card */
  readonly exchanges: number;
}

/** What a card says of itself before it has proven anything: good for getting ready, never for a decision. */
export interface CardClaim {
  readonly organization: string;
  readonly profileId: string;
  /** upper-case hexadecimal */
  readonly diversifier: string;
}

/** What a tap yielded. `diversifier` is upper-case hexadecimal, absent where the profile has none. */
export interface Reading {
  readonly organization: string;
  readonly profileId: string;
  readonly method: AccessMethod;
  readonly userNumber: string;
  readonly assurance: Assurance;
  readonly keyVersion?: number;
  /** when its profile ceases to accept this version, milliseconds UTC; the decision refuses it from then on */
  readonly keyVersionEndsMs?: number;
  readonly diversifier?: string;
  readonly timings: ReadingTimings;
}

/** The key that a card names, proven by nothing yet. */
export interface NamedKey {
  readonly profileId: string;
  readonly keyVersion: number;
}

/** How the reading of a presented card ended. `removed` is "hold again", never a denial. */
export type CardOutcome =
  | { readonly kind: 'reading'; readonly reading: Reading }
  | { readonly kind: 'unknown-card' }
  | { readonly kind: 'removed' }
  /** the card did not answer a command within the deadline of one exchange */
  | { readonly kind: 'timeout' }
  /** the deadline of the whole reading passed; `cardUs`: how long of that the card has taken, in microseconds */
  | { readonly kind: 'too-slow'; readonly exchanges: number; readonly cardUs: number }
  /** `namedKey`: where the reading came so far */
  | { readonly kind: 'refused'; readonly fault: FaultRecord; readonly namedKey?: NamedKey };

/** How a PIN verification on the open session ended. Tries left are read before any try. */
export type PinOutcome =
  | { readonly kind: 'verified'; readonly reading: Reading }
  | { readonly kind: 'wrong'; readonly triesLeft: number }
  /** not sent to the card, since fewer tries are left than the profile allows to spend */
  | { readonly kind: 'withheld'; readonly triesLeft: number }
  | { readonly kind: 'blocked' }
  | { readonly kind: 'removed' }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'refused'; readonly fault: FaultRecord };

/** How a change of PIN ended. Tries left are read before any try. */
export type PinChangeOutcome =
  | { readonly kind: 'changed' }
  /** the old PIN was wrong */
  | Extract<PinOutcome, { kind: 'wrong' | 'withheld' | 'blocked' | 'removed' | 'timeout' | 'refused' }>
  /** the exchange broke off, or no answer can be believed, after the change had gone: either PIN may be the card's now, and the next try tells */
  | { readonly kind: 'uncertain'; readonly fault: FaultRecord };
