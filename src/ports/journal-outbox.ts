import type { ChainPosition } from '#core/sync/journal-batch.ts';
import type { LiveEvent } from '#core/sync/live-events.ts';
import type { TerminalIdentity } from '#core/sync/terminal-identity.ts';
import type { UploadedThrough } from './journal-keeping.ts';

/** Positions are over all incarnations of a journal, from 1; 0 is before the first entry. */
export interface OutboxExtent {
  readonly uploaded: UploadedThrough;
  /** the last entry */
  readonly last: number;
}

/** What the server says it has, as this journal knows it. */
export interface LocatedPosition {
  /** the entry named; the last of its incarnation here, where the server names one behind that */
  readonly stored: number;
  readonly signed: number;
  /** false where the server's entry is another one than this journal's, or is not here yet */
  readonly agrees: boolean;
  /** entries behind it that this journal has let go of: sequence numbers, both inclusive */
  readonly missing?: readonly [from: number, through: number];
}

export interface BatchRequest {
  readonly to: TerminalIdentity;
  /** entries behind this position */
  readonly behind: number;
  /** checkpoints of entries behind this position */
  readonly signedBehind: number;
  readonly mostEntries: number;
  /** of the batch as it is sent */
  readonly mostBytes: number;
  /** also a batch that holds nothing, to learn what the server has */
  readonly asks: boolean;
}

export interface OutgoingBatch {
  readonly payload: Uint8Array;
  /** positions of its first and last entry; of the next one and the last where it has none */
  readonly from: number;
  readonly through: number;
  readonly signedThrough: number;
}

export interface LiveRequest {
  /** entries behind this position, the newest of them where there are many */
  readonly behind: number;
  readonly alarmsOnly: boolean;
}

/** Reads a journal for the server, from the disk alone, while a terminal writes it. */
export interface JournalOutbox {
  /** Rejects with `file-unreadable`, `database-newer` or `database-invalid`; may be called again then. */
  start(): Promise<void>;
  stop(): Promise<void>;
  extent(): Promise<OutboxExtent>;
  /** undefined for an incarnation that is not of this journal; `signed`: what is known to be signed so far */
  locate(
    position: ChainPosition,
    signedThrough: number,
    signed: number,
  ): Promise<LocatedPosition | undefined>;
  /** undefined where there is nothing to send */
  batch(request: BatchRequest): Promise<OutgoingBatch | undefined>;
  /** Alarms first, each newest first, without what is personal. */
  live(request: LiveRequest): Promise<readonly LiveEvent[]>;
}
