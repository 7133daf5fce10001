import { z } from 'zod';
import type { JournalEntry } from './entry.ts';
import type { JsonValue } from './record.ts';

/** Inclusive range of sequence numbers. */
export type SequenceRange = readonly [from: number, to: number];

const erasureSchema = z.looseObject({
  event: z.literal('personal-erased'),
  incarnation: z.string(),
  ranges: z.array(z.tuple([z.int(), z.int()])),
});

/** Body of the entry (kind `terminal`) that records a lawful erasure of personal values in `ranges`. */
export function erasureBody(
  incarnation: string,
  ranges: readonly SequenceRange[],
  values: number,
): { readonly [key: string]: JsonValue } {
  return { event: 'personal-erased', incarnation, ranges, values };
}

/** The erasure that `entry` records; undefined for any other entry. */
export function erasureOf(
  entry: JournalEntry,
): { readonly incarnation: string; readonly ranges: readonly SequenceRange[] } | undefined {
  return entry.kind === 'terminal' ? erasureSchema.safeParse(entry.body).data : undefined;
}

/** What of `ranges` none of `covering` contains. */
export function uncovered(
  ranges: readonly SequenceRange[],
  covering: readonly SequenceRange[],
): readonly SequenceRange[] {
  let left: SequenceRange[] = [...ranges];
  for (const [from, to] of covering) {
    left = left.flatMap(([a, b]): SequenceRange[] => {
      if (to < a || from > b) return [[a, b]];
      const parts: SequenceRange[] = [];
      if (a < from) parts.push([a, from - 1]);
      if (b > to) parts.push([to + 1, b]);
      return parts;
    });
  }
  return left;
}
