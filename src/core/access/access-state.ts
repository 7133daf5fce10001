import type { z } from 'zod';
import { Fault } from '#core/fault.ts';
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
  /** holds only of who went through: taken back when the door tells that nobody did, or was not opened at all */
  readonly ifPassed?: true;
  /** holds only if the door obeyed the grant, whoever went through: taken back when it was not opened */
  readonly ifObeyed?: true;
}

/** Facts of one holder, or of the terminal as a whole, by their keys. */
export type Facts = ReadonlyMap<string, JsonValue>;

/** The facts one decision may use: those of its holder, and those of the terminal as a whole. */
export interface AccessState {
  /** name of this terminal: what a group of terminals counts stands under the name of each */
  readonly terminal: string;
  shared(key: string): JsonValue | undefined;
  holder(key: string): JsonValue | undefined;
  /** whether this terminal cannot reach the others of `group` now; true until something joins them */
  apart(group: string): boolean;
  /**
   * The holder of a tap of this boot that waits (`Decision.kind` `waits`), so that a second person's grant counts
   * both. Kept in memory alone: undefined once forgotten, and then the waiting is over.
   */
  companion(tapId: string): Companion | undefined;
}

/** Who tapped first. */
export interface Companion {
  readonly holderId: string;
  /** the newest fact of that holder */
  fact(key: string): JsonValue | undefined;
}

/** No fact at all: a terminal that has just been installed. */
export const blankState: AccessState = {
  terminal: 'blank',
  shared: () => undefined,
  holder: () => undefined,
  apart: () => true,
  companion: () => undefined,
};

/**
 * The value of a fact as its rule writes it; undefined where there is none. Throws `database-invalid` for anything
 * else: a fact that cannot be read must not count as none.
 */
export function factOf<T>(schema: z.ZodType<T>, key: string, value: JsonValue | undefined): T | undefined {
  if (value === undefined) return undefined;
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new Fault('database-invalid', `the fact "${key}" is not as its rule writes it`);
  return parsed.data;
}
