import { z } from 'zod';
import { type AccessState, factOf, type StateChange } from '#core/access/access-state.ts';
import { counted, type Parts, partsSchema } from '#core/access/counting.ts';
import { type Moment, momentOf, momentSchema } from '#core/access/moment.ts';
import type { Rule, Tap } from '#core/access/rule.ts';
import type { JsonValue } from '#core/journal/record.ts';
import { escorted } from './escort.ts';
import { remembered } from './reentry.ts';
import { firstOfTwo } from './two-person.ts';

/** Where a holder is: the zone last entered, or null outside of all zones; of a zone's earlier epoch it is unknown. */
export const positionSchema = z.strictObject({
  zone: z.string().nullable(),
  epoch: z.int().min(0),
  since: momentSchema,
});
/** How many are in a zone. */
export const countSchema = z.strictObject({ epoch: z.int().min(0), parts: partsSchema });
export const epochSchema = z.int().min(1);

export interface Position {
  readonly zone: string | null;
  readonly since: Moment;
}

/** A person who passes with this tap. */
export interface Person {
  readonly holderId: string;
  readonly position: Position | undefined;
}

type Shared = Pick<AccessState, 'shared'>;

/**
 * Keeps where holders are and how many are in each zone, for the rules that ask. It follows grants: who is granted has
 * moved, unless the door tells that nobody went through. A position survives a reboot; no forced door and no clock
 * changes it; an operator resets it.
 */
export const position: Rule = {
  name: 'position',
  ofPassing: true,
  check: (tap) => {
    const { from, to } = tap.request;
    const persons = personsOf(tap);
    const again = remembered(tap, persons);
    const tracked = tap.slice.rules.zones.size > 0 && from !== to;
    if (!tracked) return again.length === 0 ? undefined : { kind: 'passed', changes: again };
    const zone = to !== undefined && tap.slice.rules.zones.has(to) ? to : null;
    const moved = movesOf(tap, persons, zone);
    return { kind: 'passed', used: { zone, persons: persons.length }, changes: [...moved, ...again] };
  },
};

function movesOf(tap: Tap, persons: readonly Person[], zone: string | null): readonly StateChange[] {
  const at = { zone, epoch: zone === null ? 0 : epochOf(zone, tap.state), since: { ...momentOf(tap) } };
  return [
    ...persons.map(
      ({ holderId }): StateChange => ({ key: 'at', holderId, value: { ...at }, ifPassed: true }),
    ),
    ...recount(
      persons.map(({ position: from }) => ({ from, to: at })),
      tap.state,
    ),
  ];
}

/** Who passes: the holder of this tap, and those who tapped before and waited for it. */
export function personsOf(tap: Tap): readonly Person[] {
  const { holder } = tap.slice;
  if (!holder) return [];
  const persons = [{ holderId: holder.holderId, position: positionOf(tap.state.holder('at'), tap.state) }];
  for (const companion of [firstOfTwo(tap), escorted(tap)]) {
    if (!companion || persons.some(({ holderId }) => holderId === companion.holderId)) continue;
    persons.push({
      holderId: companion.holderId,
      position: positionOf(companion.fact('at'), tap.state),
    });
  }
  return persons;
}

/** Undefined where nobody knows: never seen, or the zone was reset since. */
export function positionOf(fact: JsonValue | undefined, state: Shared): Position | undefined {
  const known = factOf(positionSchema, 'at', fact);
  if (!known) return undefined;
  const current = known.zone === null || known.epoch === epochOf(known.zone, state);
  return current ? { zone: known.zone, since: known.since } : undefined;
}

/** Since when a holder is where the fact `at` says, milliseconds UTC. */
export function positionSince(fact: JsonValue): number {
  return factOf(positionSchema, 'at', fact)?.since.utcMs ?? 0;
}

/** Parts of the number of people in `zone`, by this terminal and others. */
export function peopleIn(zone: string, state: Shared): Parts {
  const key = `count/${zone}`;
  const count = factOf(countSchema, key, state.shared(key));
  return count?.epoch === epochOf(zone, state) ? count.parts : [];
}

function epochOf(zone: string, state: Shared): number {
  const key = `epoch/${zone}`;
  return factOf(epochSchema, key, state.shared(key)) ?? 0;
}

/** The numbers of people in zones after these have moved, of whom some were, or are then, nobody knows where. */
export function recount(
  moves: readonly {
    readonly from: Pick<Position, 'zone'> | undefined;
    readonly to: Pick<Position, 'zone'> | undefined;
  }[],
  state: Pick<AccessState, 'shared' | 'terminal'>,
): readonly StateChange[] {
  const steps = new Map<string, number>();
  const step = (zone: string | null | undefined, by: number) => {
    if (zone !== null && zone !== undefined) steps.set(zone, (steps.get(zone) ?? 0) + by);
  };
  for (const { from, to } of moves) {
    step(from?.zone, -1);
    step(to?.zone, 1);
  }
  return [...steps]
    .filter(([, by]) => by !== 0)
    .map(([zone, by]) => ({
      key: `count/${zone}`,
      value: { epoch: epochOf(zone, state), parts: counted(peopleIn(zone, state), state.terminal, by) },
    }));
}

/** Forgets where one holder is, by an operator: the next tap is judged as a first one. */
export function forgetPosition(
  holderId: string,
  fact: JsonValue | undefined,
  state: Pick<AccessState, 'shared' | 'terminal'>,
): readonly StateChange[] {
  const known = positionOf(fact, state);
  return [{ key: 'at', holderId }, ...recount([{ from: known, to: undefined }], state)];
}

/** Forgets who is in `zone`, all at once: after an evacuation, or when a forced door makes positions worthless. */
export function resetZone(zone: string, state: Shared): readonly StateChange[] {
  return [{ key: `epoch/${zone}`, value: epochOf(zone, state) + 1 }, { key: `count/${zone}` }];
}

/** Who is in which zone, from the facts `at` of all holders: longest inside first, then by holder. */
export function rollCall(
  facts: Iterable<{ readonly holderId: string; readonly value: JsonValue }>,
  state: Shared,
): ReadonlyMap<string, readonly { readonly holderId: string; readonly sinceMs: number }[]> {
  const inside = new Map<string, { holderId: string; sinceMs: number }[]>();
  for (const { holderId, value } of facts) {
    const known = positionOf(value, state);
    if (!known || known.zone === null) continue;
    const list = inside.get(known.zone) ?? [];
    list.push({ holderId, sinceMs: known.since.utcMs });
    inside.set(known.zone, list);
  }
  for (const list of inside.values()) {
    list.sort((a, b) => a.sinceMs - b.sinceMs || (a.holderId < b.holderId ? -1 : 1));
  }
  return inside;
}
