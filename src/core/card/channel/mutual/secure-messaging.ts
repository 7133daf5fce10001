import { concat } from '#core/bytes/bytes.ts';
import { buildTlv } from '#core/bytes/tlv.ts';
import type { ChannelSession } from '#core/card/channel/mutual/messages.ts';
import { padIso9797, unpadIso9797 } from '#core/crypto/padding.ts';

/** Data objects of ISO 7816-4, 10.2. */
export const objectTags = {
  plain: 0x81,
  /** cryptogram without padding indicator, for odd instructions */
  encryptedOdd: 0x85,
  encrypted: 0x87,
  mac: 0x8e,
  expected: 0x97,
  status: 0x99,
} as const;

/** VERIFY, CHANGE REFERENCE DATA, RESET RETRY COUNTER: their data is a PIN and never travels in the clear. */
const pinInstructions: ReadonlySet<number> = new Set([0x20, 0x24, 0x2c]);

export function carriesPin(instruction: number): boolean {
  return pinInstructions.has(instruction);
}

/** Adds one to the send sequence counter, as each side does before every command and every response. */
export function advanceCounter({ counter }: ChannelSession): void {
  for (let i = counter.length - 1; i >= 0; i -= 1) {
    const next = ((counter[i] ?? 0) + 1) & 0xff;
    counter[i] = next;
    if (next !== 0) return;
  }
}

/**
 * MAC over SSC || padded header || data objects (commands) or SSC || data objects (responses). Without data objects
 * the header is padded by the MAC's own padding alone: once, not twice.
 */
export function macOf(
  session: ChannelSession,
  header: Uint8Array | undefined,
  objects: Uint8Array,
): Uint8Array {
  const { suite, mac, counter } = session;
  if (!header) return suite.messageMac(mac, concat(counter, objects));
  const head = objects.length === 0 ? header : padIso9797(header, suite.blockLength);
  return suite.messageMac(mac, concat(counter, head, objects));
}

/** DO'87' = 01 || cryptogram, or DO'85' = cryptogram where the instruction is odd. */
export function encryptObject(
  session: ChannelSession,
  data: Uint8Array,
  oddInstruction: boolean,
): Uint8Array {
  const { suite, encryption, counter } = session;
  const padded = padIso9797(data, suite.blockLength);
  const cryptogram = suite.encrypt(encryption, suite.messageIv(encryption, counter), padded);
  padded.fill(0);
  return oddInstruction
    ? buildTlv(objectTags.encryptedOdd, cryptogram)
    : buildTlv(objectTags.encrypted, concat(Uint8Array.of(0x01), cryptogram));
}

/** The plaintext of a cryptogram whose MAC has been checked; undefined when it is no whole number of padded blocks. */
export function decryptObject(
  session: ChannelSession,
  value: Uint8Array,
  oddInstruction: boolean,
): Uint8Array | undefined {
  const { suite, encryption, counter } = session;
  if (!oddInstruction && value[0] !== 0x01) return undefined;
  const cryptogram = oddInstruction ? value : value.subarray(1);
  if (cryptogram.length === 0 || cryptogram.length % suite.blockLength !== 0) return undefined;
  const padded = suite.decrypt(encryption, suite.messageIv(encryption, counter), cryptogram);
  return unpadIso9797(padded, suite.blockLength);
}

export function zeroSession({ encryption, mac, counter }: ChannelSession): void {
  encryption.fill(0);
  mac.fill(0);
  counter.fill(0);
}
