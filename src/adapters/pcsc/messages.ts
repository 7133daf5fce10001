import type { Transient } from '#adapters/process/link.ts';
import type { CardKeyRequest, CardKeys } from '#core/card/keys.ts';
import type { CardProfile } from '#core/card/profile.ts';
import type { CardClaim, CardOutcome, PinOutcome } from '#core/card/reading.ts';
import type { FaultRecord } from '#core/fault.ts';

/** What the child needs to know before it touches a reader. */
export interface ReaderConfiguration {
  readonly readers: readonly ConfiguredReader[];
  /** limit of one exchange with a card, and of connecting to it, in milliseconds */
  readonly apduDeadlineMs: number;
  /** limit of a whole reading, in milliseconds */
  readonly tapDeadlineMs: number;
  /** how long a session may stay open after its reading, in milliseconds; then the card is reset */
  readonly sessionDeadlineMs: number;
  /** the pcscd that an earlier child spoke to, whose counters `presentedCount` holds */
  readonly serviceId?: string;
}

export interface ConfiguredReader {
  readonly name: string;
  /** in order of preference */
  readonly profiles: readonly CardProfile[];
  /** the counter of the card that an earlier child presented and that was not removed: a card that stays is one tap */
  readonly presentedCount?: number;
}

/** What the parent offers to the child. A type, not an interface, since a link needs its index signature. */
export type ParentOffer = {
  /** pcscd does not answer */
  readonly serviceAbsent: (fault: FaultRecord) => void;
  /** pcscd answers and has these readers, in full; `serviceId` is the identity of its socket */
  readonly readers: (state: { readonly serviceId: string; readonly names: readonly string[] }) => void;
  /** a reader works, or has stopped working (`fault`) */
  readonly readerState: (state: { readonly name: string; readonly fault?: FaultRecord }) => void;
  readonly tapBegun: (tap: BegunTap) => void;
  readonly tapClaimed: (tap: { readonly tapId: string; readonly claim: CardClaim }) => void;
  readonly tapRead: (tap: { readonly tapId: string; readonly outcome: CardOutcome }) => void;
  readonly removed: (readerName: string) => void;
  readonly cardKeys: (request: CardKeyRequest) => Promise<Transient<CardKeys>>;
};

export interface BegunTap {
  readonly tapId: string;
  readonly readerName: string;
  /** monotonic time of the card event, in microseconds */
  readonly presentedAtUs: number;
  /** pcscd's counter of insertions and removals at the card event */
  readonly count: number;
}

/** What the child offers to the parent. */
export type ChildOffer = {
  readonly configure: (configuration: ReaderConfiguration) => void;
  readonly verifyPin: (pin: { readonly tapId: string; readonly digits: Uint8Array }) => Promise<PinOutcome>;
  readonly end: (tapId: string) => Promise<void>;
};
