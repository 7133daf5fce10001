import { z } from 'zod';
import type { JournalEntry } from './entry.ts';
import type { JsonValue } from './record.ts';

/** The last entry that a journal has let go of, with all before it in its incarnation. */
export interface ForgottenHead {
  readonly incarnation: string;
  readonly sequence: number;
  /** upper-case hexadecimal: what the next entry names as the one before it */
  readonly hash: string;
}

const forgettingSchema = z.looseObject({
  event: z.literal('entries-forgotten'),
  incarnation: z.string(),
  through: z.int().min(1),
  hash: z.string(),
});

/**
 * Body of the entry (kind `terminal`) that records, beforehand, that a journal lets go of its entries through `head`:
 * `retention` has passed, or their `space` was needed.
 */
export function forgettingBody(
  { incarnation, sequence, hash }: ForgottenHead,
  why: 'retention' | 'space',
): { readonly [key: string]: JsonValue } {
  return { event: 'entries-forgotten', incarnation, through: sequence, hash, why };
}

/** Through where `entry` says that entries are let go of; undefined for any other entry. */
export function forgettingOf(entry: JournalEntry): ForgottenHead | undefined {
  const body = entry.kind === 'terminal' ? forgettingSchema.safeParse(entry.body).data : undefined;
  return body && { incarnation: body.incarnation, sequence: body.through, hash: body.hash };
}
