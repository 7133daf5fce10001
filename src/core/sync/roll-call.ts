import { toHex } from '../bytes/bytes.ts';
import { digest } from '../crypto/digest.ts';
import type { RollCall } from './command.ts';

/** One person in a zone. */
export interface Present {
  readonly zone: string;
  readonly holder: string;
  readonly sinceMs: number;
}

/**
 * Where a holder stands in the pages of a roll call: whoever goes from zone to zone between two pages stays there, and is
 * in one of them. A digest, since a command that asks for the next page is recorded and names no person.
 */
export function placeInRollCall(holder: string): string {
  return toHex(digest('sha-256', new TextEncoder().encode(holder))).slice(0, 32);
}

/** Whoever comes after a place; all where it is undefined. */
export function rollCallAfter(rollCall: RollCall, after: string | undefined): RollCall {
  if (after === undefined) return rollCall;
  return rollCall
    .map(({ zone, holders }) => ({
      zone,
      holders: holders.filter(({ holder }) => placeInRollCall(holder) > after),
    }))
    .filter(({ holders }) => holders.length > 0);
}

/** One by one, in the order of their places. */
export function presentInOrder(rollCall: RollCall): readonly Present[] {
  return rollCall
    .flatMap(({ zone, holders }) =>
      holders.map((one) => ({ zone, ...one, place: placeInRollCall(one.holder) })),
    )
    .sort((a, b) => (a.place < b.place ? -1 : a.place > b.place ? 1 : 0))
    .map(({ zone, holder, sinceMs }) => ({ zone, holder, sinceMs }));
}

/** By zone again, the longest inside first. */
export function rollCallOf(present: readonly Present[]): RollCall {
  const longestFirst = present.toSorted((a, b) => a.sinceMs - b.sinceMs);
  return [...Map.groupBy(longestFirst, ({ zone }) => zone)].map(([zone, inside]) => ({
    zone,
    holders: inside.map(({ holder, sinceMs }) => ({ holder, sinceMs })),
  }));
}
