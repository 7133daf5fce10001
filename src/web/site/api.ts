import type { DenialReason, WaitReason } from '#core/access/decision.ts';
import type { AccessMethod } from '#core/card/reading.ts';
import type { JournalKind, JsonValue } from '#core/journal/record.ts';
import type { Text } from '#core/texts/language.ts';

/** The contract between the site's page and its server: what the page may ask, and what it is told. */

/** The body format of both directions; a page of another version reloads itself. */
export const apiVersion = 1;

/** Rule files shipped with the site: when the server room demands a PIN. */
export const ruleSets = ['schedule', 'always', 'never'] as const;
export type RuleSet = (typeof ruleSets)[number];

export const visitorActions = ['push', 'hold', 'force', 'close', 'exit'] as const;
/** What a person at the door does: pushes it, keeps it open, breaks it open, closes it, presses the exit button. */
export type VisitorAction = (typeof visitorActions)[number];

export const padKeys = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'enter', 'cancel'] as const;
export type PadKey = (typeof padKeys)[number];

/** A virtual card of the deck. `pin` is shown on purpose: these cards and their keys are toys. */
export interface CardView {
  readonly cardId: string;
  readonly title: Text;
  readonly note: Text;
  readonly methods: readonly AccessMethod[];
  readonly pin?: string;
  readonly hue: number;
  /** the reader it is held over; null while it lies in the deck */
  readonly readerId: string | null;
}

export interface DoorView {
  readonly doorId: string;
  readonly title: Text;
  readonly demand: Text;
  readonly strike: 'locked' | 'unlocked';
  readonly contact: 'closed' | 'open';
  readonly alarm: 'none' | 'forced-open' | 'held-open';
  /** how the visitor's door stands: kept open by a hand or wedge until it is closed */
  readonly held: boolean;
}

type VerdictKind = 'granted' | 'denied' | 'pin-needed' | 'waits' | 'hold-again';

/** How the last tap at a reader ended. */
export interface VerdictView {
  readonly tapId: string;
  readonly atMs: number;
  readonly kind: VerdictKind;
  readonly reason?: DenialReason | WaitReason;
  readonly cardId: string | null;
}

export interface PinView {
  readonly entered: number;
  readonly minimumDigits: number;
  readonly maximumDigits: number;
}

export interface ReaderView {
  readonly readerId: string;
  readonly doorId: string;
  /** name in the card stack */
  readonly deviceName: string;
  readonly state: 'ready' | 'absent' | 'faulty';
  readonly indication: string;
  readonly pin: PinView | null;
  readonly verdict: VerdictView | null;
}

export interface JournalEntryView {
  /** its place among the entries of all terminals, from 1 */
  readonly position: number;
  readonly terminal: string;
  /** its number in the journal of its terminal */
  readonly sequence: number;
  readonly atMs: number;
  readonly kind: JournalKind | string;
  readonly tapId?: string;
  /** upper-case hexadecimal, whole */
  readonly hash: string;
  readonly body: { readonly [key: string]: JsonValue };
}

export interface LinkView {
  /** `pcsc`: through pcscd and vpcd; `direct`: the same card and session code joined in one process */
  readonly kind: 'pcsc' | 'direct';
  /** whether pcscd ran already, was started by the site, or could not be had */
  readonly service: 'found' | 'started' | 'none';
}

export interface RulesView {
  readonly rules: RuleSet | null;
  readonly policyVersion: number;
}

export interface Snapshot {
  readonly apiVersion: number;
  readonly timeZone: string;
  readonly link: LinkView;
  readonly rules: RulesView;
  readonly cards: readonly CardView[];
  readonly doors: readonly DoorView[];
  readonly readers: readonly ReaderView[];
  /** newest last */
  readonly journal: readonly JournalEntryView[];
}

export type SiteEvent =
  | { readonly type: 'snapshot'; readonly snapshot: Snapshot }
  | { readonly type: 'card'; readonly card: CardView }
  | { readonly type: 'door'; readonly door: DoorView }
  | { readonly type: 'reader'; readonly reader: ReaderView }
  | { readonly type: 'rules'; readonly rules: RulesView }
  | { readonly type: 'journal'; readonly entry: JournalEntryView };

/** What the real verification of the journals found: their entries, and how many of them are signed. */
export interface VerificationView {
  readonly sound: boolean;
  readonly entries: number;
  readonly signedThrough: number;
  readonly problems: readonly string[];
  readonly tookMs: number;
}

/** RFC 9457 problem details. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail?: string;
  readonly errors?: readonly { readonly path: string; readonly message: string }[];
}
