import type { Facts } from '#core/access/access-state.ts';
import type { RollCall } from '#core/sync/command.ts';

/**
 * What access rules remember of holders, as the journal has it on the disk, for what an operator asks: never in the way
 * of a tap. Rejects with database faults.
 */
export interface HolderFacts {
  of(holderId: string): Promise<Facts>;
  /** who is in which zone, or in this one */
  whereabouts(zone?: string): Promise<RollCall>;
}
