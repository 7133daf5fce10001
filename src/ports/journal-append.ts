import type { Facts } from '#core/access/access-state.ts';
import type { JournalHead, JournalRecord } from '#core/journal/record.ts';

/** How full the journal is: the space reserved for it, in entries of the average size so far. */
export interface JournalSpace {
  readonly entries: number;
  readonly reservedBytes: number;
  readonly usedBytes: number;
  /** entries that fit into the reserved space altogether */
  readonly capacityEntries: number;
  /** `low` below 20 % or 30 days left, `critical` below 5 % or 7 days: alarms on the way to full */
  readonly level: 'ample' | 'low' | 'critical';
  /** at the rate of the last 30 days of entries; undefined while fewer than one day is known */
  readonly daysLeft?: number;
  /** entries that the server has not stored yet; undefined where there is no server */
  readonly waiting?: number;
}

/**
 * Appends to the hash chain. `start` may be called again after it rejected. An append resolves when all its records are
 * durable, in the order given, each with its position and together with the facts it changes, and rejects with
 * `journal-full` or `journal-unwritable` when none of them is.
 */
export interface JournalAppend {
  start(): Promise<JournalHead>;
  append(records: readonly JournalRecord[]): Promise<JournalHead>;
  space(): Promise<JournalSpace>;
  /** the facts about the terminal as a whole; those of holders come with the policy's look-up */
  sharedFacts(): Promise<Facts>;
  /** Signs a last checkpoint and closes. */
  stop(): Promise<void>;
}
