import type { JournalEntry } from '#core/journal/entry.ts';
import type { JournalHead } from '#core/journal/record.ts';
import type { JournalItem } from '#core/journal/verify.ts';

export interface JournalQuery {
  /** first sequence number of the latest incarnation; without it the newest entries are listed */
  readonly fromSequence?: number;
  /** entries at most */
  readonly limit: number;
  readonly kind?: string;
  readonly doorId?: string;
}

/** An entry with what is left of its personal values. */
export interface JournalView {
  readonly entry: JournalEntry;
  /** upper-case hexadecimal */
  readonly hash: string;
  readonly personal: { readonly [field: string]: string };
}

/** Reads a journal, also while a terminal writes it. */
export interface JournalRead {
  /** Rejects with `file-unreadable`, `database-newer` or `database-invalid`. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** the last entry; undefined while there is none */
  head(): Promise<JournalHead | undefined>;
  /** Entries in the order written. */
  list(query: JournalQuery): Promise<readonly JournalView[]>;
  /** Everything in the order stored, as `verifyJournal` takes it, device keys first. */
  items(): AsyncIterable<JournalItem>;
}
