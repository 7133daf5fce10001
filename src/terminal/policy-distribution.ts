import type { Logger } from 'pino';
import type { AccessMemory } from '#core/access/access-memory.ts';
import type { ChunkSource } from '#ports/chunk-source.ts';
import type { Clock } from '#ports/clock.ts';
import type { PolicySync } from '#ports/policy-sync.ts';
import type { TrustStore } from '#ports/trust-store.ts';
import type { DistributionTrust } from './distribution-trust.ts';
import type { JournalWriter } from './journal-writer.ts';

/** Where the policy of a terminal that a server looks after comes from, and by whom it is believed. */
export interface PolicyDistribution {
  readonly sync: PolicySync;
  readonly source: ChunkSource;
  readonly trust: DistributionTrust;
  readonly roots: TrustStore;
  /** a number from 0 up to 1 */
  readonly chance: () => number;
}

export interface PolicySyncParts extends PolicyDistribution {
  readonly terminal: string;
  readonly memory: Pick<AccessMemory, 'declare' | 'shared'>;
  readonly journal: Pick<JournalWriter, 'note' | 'floorMs'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** told that another policy is in force, or that something of it is revoked */
  readonly changed: () => void;
}
