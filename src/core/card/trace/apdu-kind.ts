import type { Command } from '#core/apdu/command.ts';

/** What an APDU does, as far as traces tell commands apart. */
export type ApduKind =
  | 'select-application'
  | 'select-file'
  | 'read-binary'
  | 'read-record'
  | 'verify'
  | 'change-reference-data'
  | 'reset-retry-counter'
  | 'get-challenge'
  | 'authenticate'
  | 'initialize-update'
  | 'get-response'
  | 'get-data'
  /** ISO 7816-4 secure messaging: the data field is data objects */
  | 'protected-iso'
  /** GlobalPlatform secure messaging: the data field ends with a MAC */
  | 'protected-gp'
  | 'other';

const byInstruction: Readonly<Record<number, ApduKind>> = {
  32: 'verify',
  36: 'change-reference-data',
  44: 'reset-retry-counter',
  132: 'get-challenge',
  130: 'authenticate',
  136: 'authenticate',
  176: 'read-binary',
  177: 'read-binary',
  178: 'read-record',
  179: 'read-record',
  192: 'get-response',
  202: 'get-data',
  203: 'get-data',
};

/** What the instruction says, whatever the class byte. */
export function instructionKind({ ins, p1 }: Pick<Command, 'ins' | 'p1'>): ApduKind {
  if (ins === 0xa4) return p1 === 0x04 ? 'select-application' : 'select-file';
  return byInstruction[ins] ?? 'other';
}

/**
 * Kind of a command as it crosses the seam. Class bytes: 0C, secure messaging with an authenticated header
 * (ISO 7816-4, 5.4.1); 84 and 04, GlobalPlatform secure messaging (Card Specification 2.3.1, 11.1.4).
 */
export function apduKind(command: Command): ApduKind {
  const { cla, ins } = command;
  const proprietary = (cla & 0x80) !== 0;
  if (proprietary && ins === 0x50) return 'initialize-update';
  if (ins === 0x82 || ins === 0x88) return 'authenticate';
  if (!proprietary && (cla & 0x4c) === 0x0c) return 'protected-iso';
  if ((cla & 0x44) === 0x04) return 'protected-gp';
  return proprietary ? 'other' : instructionKind(command);
}

/** Bytes of the MACs of an SCP03 session: as many as its INITIALIZE UPDATE has of host challenge (Amendment D, 5.1). */
export function macLengthOf({ data }: Command): number {
  return data?.length ?? 0;
}
