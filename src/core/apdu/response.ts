import { Fault } from '#core/fault.ts';
import { statusLabel } from '#core/texts/status-words.ts';

/** A response APDU: data and status word SW1-SW2 (ISO 7816-4, 5.1). */
export interface Response {
  readonly data: Uint8Array;
  readonly status: number;
}

export const statusWords = {
  success: 0x9000,
  endOfFile: 0x6282,
  authenticationFailed: 0x6300,
  wrongLength: 0x6700,
  channelNotSupported: 0x6881,
  secureMessagingNotSupported: 0x6882,
  chainingNotSupported: 0x6884,
  securityNotSatisfied: 0x6982,
  pinBlocked: 0x6983,
  referenceNotUsable: 0x6984,
  conditionsNotSatisfied: 0x6985,
  noCurrentFile: 0x6986,
  protectionMissing: 0x6987,
  protectionIncorrect: 0x6988,
  wrongData: 0x6a80,
  notFound: 0x6a82,
  recordNotFound: 0x6a83,
  wrongParameters: 0x6a86,
  referenceNotFound: 0x6a88,
  beyondEnd: 0x6b00,
  instructionNotSupported: 0x6d00,
  classNotSupported: 0x6e00,
} as const;

/** A status word for a fault message: its hexadecimal digits and, where known, its meaning (ISO 7816-4, 5.6). */
export function describeStatus(status: number): string {
  return statusLabel(status).en;
}

/** True for status words that a protected session accepts with a valid MAC alone: success and warnings. */
export function isSuccessOrWarning(status: number): boolean {
  const sw1 = status >> 8;
  return sw1 === 0x90 || sw1 === 0x61 || sw1 === 0x62 || sw1 === 0x63;
}

/** Tries left by a 63Cx status; undefined for any other. */
export function triesLeftOf(status: number): number | undefined {
  return (status & 0xfff0) === 0x63c0 ? status & 0x0f : undefined;
}

/** Splits a response. Throws a Fault `card-answer-malformed` when it has no status word or passes 65,538 bytes. */
export function splitResponse(response: Uint8Array): Response {
  const end = response.length - 2;
  if (end < 0 || end > 0x10000) {
    throw new Fault(
      'card-answer-malformed',
      `the card answered ${response.length} bytes, which is no response APDU`,
    );
  }
  return { data: response.subarray(0, end), status: ((response[end] ?? 0) << 8) | (response[end + 1] ?? 0) };
}

/** A response APDU as a card sends it. */
export function joinResponse(data: Uint8Array, status: number): Uint8Array {
  const response = new Uint8Array(data.length + 2);
  response.set(data);
  response[data.length] = status >> 8;
  response[data.length + 1] = status & 0xff;
  return response;
}
