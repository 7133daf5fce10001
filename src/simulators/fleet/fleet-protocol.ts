import type { DownMessage } from '#ports/message-bus.ts';
import type { FleetMember } from './bulk-enrolment.ts';
import type { Passage } from './network-faults.ts';

/** One terminal of a run and when cards pass at it, in milliseconds since the run begins, in order. */
export interface FleetTask {
  readonly member: FleetMember;
  readonly atMs: readonly number[];
}

export interface FleetPlan {
  readonly broker: { readonly host: string; readonly port: number };
  readonly tasks: readonly FleetTask[];
  readonly passagesInBatch: number;
  readonly seed: number;
  /** connections go through a network that can be disturbed */
  readonly disturbed: boolean;
  /** the root of trust as it was signed, by which terminals believe revocations; where absent they look at none */
  readonly root?: Uint8Array;
}

/** What a run is told to do; each is answered when it is done. */
export type FleetOrder =
  | { readonly kind: 'prepare'; readonly plan: FleetPlan }
  /** connects all, spread over a time; answered when all are connected */
  | { readonly kind: 'connect'; readonly overMs: number }
  /** the moment 0 is now */
  | { readonly kind: 'begin' }
  | { readonly kind: 'network'; readonly open: boolean }
  | { readonly kind: 'cut'; readonly share: number }
  | { readonly kind: 'pass'; readonly share: number; readonly passage: Passage }
  | { readonly kind: 'status' }
  | { readonly kind: 'report' };

export interface FleetStatus {
  /** milliseconds since the run began */
  readonly atMs: number;
  readonly connected: number;
  /** batches that are due, and those of them that are stored */
  readonly due: number;
  readonly stored: number;
  /** terminals that have heard of a policy */
  readonly withPolicy: number;
}

export interface FleetPrepared {
  readonly batches: number;
  readonly entries: number;
  readonly bytes: number;
}

export interface FleetReport {
  /** of each batch that is stored: when it was due, sent first and known to be stored; and its entries */
  readonly dueMs: Float64Array;
  readonly sentMs: Float64Array;
  readonly storedMs: Float64Array;
  readonly entries: Uint32Array;
  /** batches that are not stored though they are due */
  readonly missing: number;
  /** How often terminals were told what. */
  readonly told: ReadonlyMap<DownMessage['kind'], number>;
  /** by holder: when each terminal had heard that the holder must open nothing, and believed it; milliseconds UTC */
  readonly revoked: ReadonlyMap<string, readonly number[]>;
  /** connections lost or refused, by fault */
  readonly lost: ReadonlyMap<string, number>;
  /** what must never be */
  readonly wrong: readonly string[];
  /** how late this process was itself, p99: beyond some milliseconds it measures itself */
  readonly lateMs: number;
  readonly memoryBytes: number;
}
