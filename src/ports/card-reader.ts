import type { CardClaim, CardOutcome, PinOutcome } from '#core/card/reading.ts';
import type { FaultRecord } from '#core/fault.ts';

/** A reader of the machine as the terminal sees it. */
export interface ReaderStatus {
  /** exact name in the card stack, such as `ACS ACR1252 1S CL Reader [..] 00 00` */
  readonly name: string;
  readonly state: 'ready' | 'absent' | 'faulty';
  /** a software reader (vpcd): a standing alarm on a real door */
  readonly virtual: boolean;
  readonly fault?: FaultRecord;
}

/** A card whose reading has ended; the session stays open until `end`, so that a PIN can be asked for. */
export interface PresentedCard {
  /** identifies the tap in every log and journal entry it causes; 32 hexadecimal digits */
  readonly tapId: string;
  readonly readerName: string;
  /** monotonic time of the card event, in microseconds, on the clock of this machine */
  readonly presentedAtUs: number;
  readonly outcome: CardOutcome;
  /** Verifies the PIN in secure messaging and zeroes `digits` (ASCII) whatever happens. */
  verifyPin(digits: Uint8Array): Promise<PinOutcome>;
  /** Ends the session with a card reset; safe to call twice. */
  end(): Promise<void>;
}

export interface CardReaderEvents {
  readerChanged(status: ReaderStatus): void;
  /** A card is there and its reading begins; `cardPresented` follows, however it ends. */
  cardDetected(readerName: string): void;
  /** Between the two, where the card has a diversifier: it is about to be authenticated. */
  cardClaimed(readerName: string, claim: CardClaim): void;
  cardPresented(card: PresentedCard): void;
  cardRemoved(readerName: string): void;
}

/** The readers of one terminal: each has its own card session; outcomes are values, never exceptions. */
export interface CardReaders {
  start(events: CardReaderEvents): Promise<void>;
  stop(): Promise<void>;
  /** every reader the configuration allows, and every one present that it does not */
  list(): readonly ReaderStatus[];
}
