import type { StateChange } from './access-state.ts';

/** Changes on their way to the disk; whoever has them recorded says what came of it. */
export interface KeptFacts {
  readonly changes: readonly StateChange[];
  durable(): void;
  /** The disk will not take them. What took effect at once stands all the same, until `unrecorded` tells of it. */
  takeBack(): void;
}

/** Changes on their way to the disk, as those see it who have to wait for them. */
export interface OnTheWay {
  readonly settled: Promise<void>;
  /** names of facts declared meanwhile: what is declared later holds, also on the disk */
  readonly overruled: Set<string>;
}

/** Puts one for all of `changes` into `waiting`, by the names of their facts, until `end`. */
export function claim(
  waiting: Map<string, OnTheWay>,
  changes: readonly StateChange[],
): { readonly claimed: OnTheWay; readonly end: () => void } {
  const { promise: settled, resolve } = Promise.withResolvers<void>();
  const claimed: OnTheWay = { settled, overruled: new Set() };
  const names = changes.map(nameOf);
  for (const name of names) waiting.set(name, claimed);
  const end = (): void => {
    for (const name of names) if (waiting.get(name) === claimed) waiting.delete(name);
    resolve();
  };
  return { claimed, end };
}

/** One name for one fact: of a holder, or of the terminal as a whole. */
export function nameOf({ holderId, key }: Pick<StateChange, 'holderId' | 'key'>): string {
  return holderId === undefined ? key : `${key}\0${holderId}`;
}
