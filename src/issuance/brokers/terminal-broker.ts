import type { Logger } from 'pino';
import type { CertificateIssue } from '#ports/certificates.ts';
import type { Clock } from '#ports/clock.ts';
import type { Intake } from '#ports/intake.ts';
import type { ServerCredentials } from '../authority-files.ts';
import type { IssuanceConfig } from '../config.ts';
import type { Metrics } from '../monitoring/metrics.ts';
import type { Admission } from '../terminals/admission.ts';
import type { TerminalCertificates } from '../terminals/terminal-certificates.ts';

export type TerminalsConfig = NonNullable<IssuanceConfig['terminals']>;

/** What carries messages between terminals and this server, of whatever kind. */
export interface TerminalBroker {
  /**
   * Makes it ready to serve, and resolves with how this server exchanges messages through it. Rejects with faults of key
   * files, and `argument-invalid` for a port in use.
   */
  start(): Promise<Intake>;
  /** How terminals reach it, the first of preference; after `start`. */
  addresses(): readonly { readonly host: string; readonly port: number }[];
  /** Some certificates are good no more: whoever is connected with one is to be cut off. */
  recheck(): void;
  /**
   * To be called again and again: looks whom of an organization the broker must not let in, where `changed` says that its
   * certificates may be others. Rejects with database faults, and leaves what was known.
   */
  look(organization: string, changed: boolean): Promise<void>;
  /** To be called after all organizations were looked at. Rejects with faults of files. */
  tell(): Promise<void>;
  stop(): Promise<void>;
}

export interface TerminalBrokerParts {
  readonly config: TerminalsConfig;
  /** what this server shows to terminals, and where; and what it shows to a broker that is not its own */
  readonly credentials: ServerCredentials;
  readonly shown: ServerCredentials;
  /** what servers show to a broker where certificates are not enough */
  readonly password: () => Promise<string>;
  /** a name or address by which this machine reaches what it listens at */
  readonly own: string;
  readonly admission: Admission;
  /** undefined where there is no such organization */
  readonly certificates: (organization: string) => Promise<TerminalCertificates | undefined>;
  /** what has certified this server */
  readonly services: () => Promise<Pick<CertificateIssue, 'issueRevocationList' | 'chain'>>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}
