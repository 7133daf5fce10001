import type { Logger } from 'pino';
import type { DoorSettings } from '#core/access/door.ts';
import type { CardReaders } from '#ports/card-reader.ts';
import type { Clock } from '#ports/clock.ts';
import type { DoorHardware } from '#ports/door.ts';
import type { Indicator } from '#ports/indicator.ts';
import type { JournalAppend } from '#ports/journal-append.ts';
import type { PinPad } from '#ports/pin-pad.ts';
import type { PolicyLookup } from '#ports/policy-lookup.ts';
import type { TerminalEvent } from './events.ts';

/** Everything a terminal needs of the outside; `main.ts` and the site supply it. */
export interface TerminalPorts {
  readonly readers: CardReaders;
  /** by door id */
  readonly doors: ReadonlyMap<string, DoorHardware>;
  /** by reader id */
  readonly indicators: ReadonlyMap<string, Indicator>;
  /** by reader id */
  readonly pinPads: ReadonlyMap<string, PinPad>;
  readonly policy: PolicyLookup;
  readonly journal: JournalAppend;
  readonly clock: Clock;
  readonly log: Logger;
  readonly observe?: (event: TerminalEvent) => void;
}

export interface ReaderSettings {
  readonly readerId: string;
  /** exact name in the card stack */
  readonly readerName: string;
  readonly doorId: string;
}

/** What the tap loop needs of the configuration; wiring stays with whoever builds the ports. */
export interface TerminalSettings {
  readonly terminalId: string;
  readonly readers: readonly ReaderSettings[];
  readonly doors: readonly { readonly doorId: string; readonly settings: DoorSettings }[];
  readonly pin: {
    readonly minimumDigits: number;
    readonly maximumDigits: number;
    readonly timeoutMs: number;
  };
  /** from the card event to the decision, the holder's PIN entry not counted */
  readonly decisionDeadlineMs: number;
  /** whether readers in software are in order here: the site and test entry points alone say so */
  readonly virtualReaders: 'refused' | 'allowed';
}

export interface Terminal {
  start(): Promise<void>;
  /** Locks every door, ends open sessions, signs a last checkpoint. */
  stop(): Promise<void>;
  /** A person presses the opening button at the desk, or a fault is to be shown: state for health and status. */
  alive(): boolean;
}
