import { z } from 'zod';
import { incarnationForm, type JournalEntry } from './entry.ts';
import type { JsonValue } from './record.ts';

/** Inclusive range of sequence numbers. */
export type SequenceRange = readonly [from: number, to: number];

/** of one entry; who erases more writes several */
export const mostErasedRanges = 1_000;

/** Entries of one incarnation that lost their personal values. */
export interface Erasure {
  readonly incarnation: string;
  readonly ranges: readonly SequenceRange[];
}

const erasureSchema = z.looseObject({
  event: z.literal('personal-erased'),
  incarnation: z.string().regex(incarnationForm),
  ranges: z.array(z.tuple([z.int(), z.int()])).max(mostErasedRanges),
});

/** Body of the entry (kind `terminal`) that records a lawful erasure of personal values in `ranges`. */
export function erasureBody(
  incarnation: string,
  ranges: readonly SequenceRange[],
  values: number,
): { readonly [key: string]: JsonValue } {
  return { event: 'personal-erased', incarnation, ranges, values };
}

/** The erasure that `entry` records; undefined for any other entry, and for one of too many ranges, which erases nothing. */
export function erasureOf(entry: JournalEntry): Erasure | undefined {
  return entry.kind === 'terminal' ? erasureSchema.safeParse(entry.body).data : undefined;
}

/** Ranges in order that hold the same numbers and neither overlap nor touch. */
export function merged(ranges: readonly SequenceRange[]): readonly SequenceRange[] {
  const joined: [number, number][] = [];
  for (const [from, to] of ranges.filter(([a, b]) => a <= b).toSorted(([a], [b]) => a - b)) {
    const last = joined.at(-1);
    if (last && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else joined.push([from, to]);
  }
  return joined;
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
