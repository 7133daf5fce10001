import type { JournalHead } from '#core/journal/record.ts';

/** Keeps which head of each journal was signed last, beside the key that signed it and away from the journals themselves. */
export interface SealedHeads {
  /** undefined where none is kept */
  last(journal: string): Promise<JournalHead | undefined>;
  keep(journal: string, head: JournalHead): Promise<void>;
}
