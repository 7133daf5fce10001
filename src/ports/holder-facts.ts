import type { Facts } from '#core/access/access-state.ts';
import type { JsonValue } from '#core/journal/record.ts';
import type { RollCall } from '#core/sync/command.ts';

/**
 * What access rules remember of holders, as the journal has it on the disk, for what an operator asks: never in the way
 * of a tap. Rejects with database faults.
 */
export interface HolderFacts {
  of(holderId: string): Promise<Facts>;
  /** who is in which zone, or in this one */
  whereabouts(zone?: string): Promise<RollCall>;
  /** Facts whose keys begin with `prefix`, those about the terminal as a whole too, in the order of holders and keys. */
  page(query: FactQuery): Promise<readonly StoredFact[]>;
}

/** A fact of a holder, or with an empty `holderId` about the terminal as a whole. */
export interface StoredFact {
  readonly holderId: string;
  readonly key: string;
  readonly value: JsonValue;
}

export interface FactQuery {
  readonly prefix: string;
  /** the last one of the page before */
  readonly after?: Pick<StoredFact, 'holderId' | 'key'>;
  readonly limit: number;
}
