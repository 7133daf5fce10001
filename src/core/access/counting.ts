import { z } from 'zod';
import type { Tap } from './rule.ts';
import type { CountScope, Scope } from './rule-config.ts';

/**
 * A number that a group of terminals counts together: each writes its own part alone, with a version that grows at each
 * change, so that parts of other terminals can come late, twice or out of order. Sorted by terminal.
 */
export const partsSchema = z.array(z.strictObject({ terminal: z.string(), n: z.int(), v: z.int().min(1) }));
export type Parts = Readonly<z.output<typeof partsSchema>>;

/** The parts after this terminal counted `more` (which may be negative). */
export function counted(parts: Parts, terminal: string, more: number): Parts {
  const own = parts.find((part) => part.terminal === terminal);
  const next = { terminal, n: (own?.n ?? 0) + more, v: (own?.v ?? 0) + 1 };
  return sorted([...parts.filter((part) => part !== own), next]);
}

export function total(parts: Parts): number {
  return parts.reduce((sum, { n }) => sum + n, 0);
}

function sorted(parts: Parts): Parts {
  return parts.toSorted((a, b) => (a.terminal < b.terminal ? -1 : 1));
}

/**
 * Whether the group cannot be counted on: it cannot talk and its rule denies then, or this terminal is none of it.
 */
export function standsApart(
  scope: Scope | CountScope,
  { slice, state }: Pick<Tap, 'slice' | 'state'>,
): boolean {
  if (!scope) return false;
  if (!membersOf(scope.group, slice).includes(state.terminal)) return true;
  return scope.apart === 'deny' && state.apart(scope.group);
}

function membersOf(group: string, { rules }: Tap['slice']): readonly string[] {
  return rules.site.terminalGroups.find(({ id }) => id === group)?.terminals ?? [];
}

/**
 * Whether `more` still fit under `limit`. With shares each terminal keeps to its own, whether the group talks or not: of
 * two that decide at the same time neither knows of the other yet.
 */
export function hasRoom(asked: {
  readonly more: number;
  readonly limit: number;
  readonly parts: Parts;
  readonly scope: CountScope;
  readonly tap: Pick<Tap, 'slice' | 'state'>;
}): boolean {
  const { more, limit, parts, scope, tap } = asked;
  const partOf = (terminal: string) => parts.find((part) => part.terminal === terminal)?.n ?? 0;
  const own = partOf(tap.state.terminal) + more;
  if (!scope) return own <= limit;
  if (total(parts) + more > limit) return false;
  return scope.apart !== 'share' || own <= scope.share;
}

/** Joins what two terminals know: of each part the newer version. */
export function joinParts(a: Parts, b: Parts): Parts {
  const joined = new Map(a.map((part) => [part.terminal, part]));
  for (const part of b) {
    const known = joined.get(part.terminal);
    if (!known || part.v > known.v || (part.v === known.v && part.n > known.n))
      joined.set(part.terminal, part);
  }
  return sorted([...joined.values()]);
}
