/**
 * Faults are what went wrong outside the program's own logic, each with a code from a closed set.
 * docs/faults.md says for every code what an operator does about it; test/core/fault.test.ts holds the two equal.
 */
export const faultCodes = [
  // card and channel
  'card-removed',
  'card-timeout',
  'reading-too-slow',
  'card-answer-malformed',
  'card-answer-status',
  'card-authentication-failed',
  'card-message-not-authentic',
  'card-channel-closed',
  'card-diversifier-missing',
  'card-key-missing',
  'card-key-version',
  'user-number-format',
  'user-number-individual-number',
  // keys
  'key-unavailable',
  'key-refused',
  'key-file-invalid',
  'key-sealing-mismatch',
  'key-vault-pin-refused',
  // reader
  'reader-absent',
  'reader-not-allowed',
  'reader-virtual',
  'reader-in-use',
  'reader-failed',
  'reader-service-absent',
  'reader-process-lost',
  // door, indicator, pin pad
  'door-hardware-absent',
  'door-hardware-failed',
  'door-process-lost',
  'pin-pad-absent',
  // policy and journal
  'database-newer',
  'database-invalid',
  'database-in-use',
  'database-unavailable',
  'policy-absent',
  'policy-import-refused',
  'policy-expired',
  'policy-altered',
  'policy-unwritable',
  'journal-full',
  'journal-unwritable',
  'journal-broken',
  // server
  'broker-unreachable',
  'broker-refused',
  'broker-untrusted',
  'server-unreachable',
  'server-untrusted',
  'enrolment-refused',
  'backup-failed',
  'backup-invalid',
  // configuration and input
  'config-invalid',
  'profile-invalid',
  'file-unreadable',
  'argument-invalid',
  'command-refused',
  // processes and time
  'process-lost',
  'terminal-absent',
  'deadline-exceeded',
] as const;

export type FaultCode = (typeof faultCodes)[number];

/** The one error class for conditions an operator can act on. Its message never holds a secret or a user number. */
export class Fault extends Error {
  readonly code: FaultCode;

  constructor(code: FaultCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'Fault';
    this.code = code;
  }
}

/** True when `error` is a Fault, with one of `codes` if any are named. */
export function isFault(error: unknown, ...codes: readonly FaultCode[]): error is Fault {
  return error instanceof Fault && (codes.length === 0 || codes.includes(error.code));
}

/** A fault as plain data, for messages between processes and for the journal. */
export interface FaultRecord {
  readonly code: FaultCode;
  readonly message: string;
}

export function toFaultRecord(fault: Fault): FaultRecord {
  return { code: fault.code, message: fault.message };
}

export function fromFaultRecord(record: FaultRecord): Fault {
  return new Fault(record.code, record.message);
}
