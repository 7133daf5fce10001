import { z } from 'zod';
import { type AccessState, factOf, type StateChange } from '#core/access/access-state.ts';
import type { JsonValue } from '#core/journal/record.ts';
import { type CommandOutcome, commandOutcomes } from './command.ts';

/**
 * What a terminal remembers of a command it has taken, so that the same does nothing again: until the floor of time has
 * reached `untilMs`. Without `outcome` it is going on, or was cut off by the end of the program: what came of it then,
 * nobody knows.
 */
const takenSchema = z.strictObject({ untilMs: z.number(), outcome: z.enum(commandOutcomes).optional() });
export type TakenCommand = z.output<typeof takenSchema>;

export const takenPrefix = 'command/';

export function takenCommand(id: string, state: Pick<AccessState, 'shared'>): TakenCommand | undefined {
  const key = `${takenPrefix}${id}`;
  return factOf(takenSchema, key, state.shared(key));
}

/** Remembers that command `id` was taken, and what came of it once that is known. */
export function takes(id: string, untilMs: number, outcome?: CommandOutcome): StateChange {
  return { key: `${takenPrefix}${id}`, value: { untilMs, ...(outcome && { outcome }) } };
}

/** Forgets the commands among `facts` that cannot come again: the floor of time, `floorMs`, is past their end. */
export function forgetTaken(
  facts: Iterable<readonly [key: string, value: JsonValue]>,
  floorMs: number,
): readonly StateChange[] {
  return [...facts].flatMap(([key, value]) =>
    (factOf(takenSchema, key, value)?.untilMs ?? 0) <= floorMs ? [{ key }] : [],
  );
}
