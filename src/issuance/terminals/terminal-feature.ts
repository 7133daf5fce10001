import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { UpKind } from '#core/sync/topics.ts';
import type { Clock } from '#ports/clock.ts';
import type { Intake, TakenMessage } from '#ports/intake.ts';
import type { Metrics } from '../monitoring/metrics.ts';
import type { Organizations } from '../organizations/organizations.ts';
import type { Services } from '../services.ts';
import type { Leases } from '../storage/lease.ts';
import type { OrganizationTrust } from '../trust/organization-trust.ts';
import type { Admission, TerminalPeer } from './admission.ts';
import type { ClockWitnesses } from './clock-witnesses.ts';

/** What the gateway to terminals gives each of its features. */
export interface GatewayContext {
  readonly organizations: Organizations;
  readonly services: Services;
  readonly clock: Clock;
  readonly log: Logger;
  /** Tells one terminal something; resolves to `away` before the broker is reached. */
  readonly publish: Intake['publish'];
  readonly admission: Admission;
  /** whom the terminals of an organization believe; rejects with faults of key files */
  readonly trust: (organization: string) => Promise<OrganizationTrust>;
  readonly leases: Leases;
  /** by whom this server's clock is held against others */
  readonly witnesses: ClockWitnesses;
  readonly metrics: Metrics;
  /** who shows a verified certificate of a terminal; undefined for anybody else */
  readonly peer: (request: FastifyRequest) => TerminalPeer | undefined;
}

/** Something that is done for terminals, such as keeping what they say of themselves. */
export interface TerminalFeature {
  /**
   * By kind what is done with messages of it, in the order each terminal sent them, one batch after another. Rejects where
   * some could not be kept; a fault of one organization must keep nothing of another from being kept.
   */
  readonly takes?: { readonly [kind in UpKind]?: (messages: readonly TakenMessage[]) => Promise<void> };
  /** Something of an organization has changed: told at once, and of changes by other processes within a second. */
  readonly changed?: (organization: string) => Promise<void>;
  /** The broker is reached: it may have forgotten everything it kept for terminals. */
  readonly connected?: () => void;
  /** Adds what terminals ask for over HTTPS. */
  readonly addRoutes?: (app: FastifyInstance) => void;
  /** Ends what it does by itself; what it was asked to take ends first. */
  readonly stop?: () => Promise<void>;
}

/** Gives each feature its messages of a batch. Rejects with the first fault after all have ended. */
export async function takeByKind(
  features: readonly TerminalFeature[],
  batch: readonly TakenMessage[],
): Promise<void> {
  const taking = [...Map.groupBy(batch, ({ kind }) => kind)].flatMap(([kind, messages]) =>
    features.map((feature) => feature.takes?.[kind]?.(messages)),
  );
  for (const one of await Promise.allSettled(taking)) if (one.status === 'rejected') throw one.reason;
}
