import type { JsonValue } from '#core/journal/record.ts';

/**
 * What stateful rules remember is a set of facts, each under a key that names the rule and what it is about
 * (`inside`, `uses/taxi`), about one holder or, without a holder, about the terminal as a whole. A value never holds a
 * holder's id or user number: what is personal stands in the fact's owner alone, which can be erased.
 */
export interface StateChange {
  readonly key: string;
  /** absent: a fact about the terminal as a whole */
  readonly holderId?: string;
  /** absent: the fact is forgotten */
  readonly value?: JsonValue;
}

/** The facts one decision may use: those of its holder, and those of the terminal as a whole. */
export interface AccessState {
  shared(key: string): JsonValue | undefined;
  holder(key: string): JsonValue | undefined;
}

/** No fact at all: a terminal that has just been installed. */
export const blankState: AccessState = { shared: () => undefined, holder: () => undefined };
