import { concat } from '#core/bytes/bytes.ts';
import type { AesCmac } from '#core/crypto/cmac.ts';
import { counterKdf } from '#core/crypto/counter-kdf.ts';

/** GlobalPlatform Secure Channel Protocol 03 (Card Specification 2.3, Amendment D 1.2), here "Amendment D". */

export const scp03Ciphers = ['aes-128', 'aes-192', 'aes-256'] as const;
export type Scp03Cipher = (typeof scp03Ciphers)[number];

/** Security levels as EXTERNAL AUTHENTICATE names them, hexadecimal: C-MAC, C-ENC, R-MAC, R-ENC (Amendment D, 7.1.2.2). */
export const scp03Levels = ['01', '03', '11', '13', '33'] as const;
export type Scp03Level = (typeof scp03Levels)[number];

/** Challenges, cryptograms and MACs of 8 or of 16 bytes (Amendment D, 5.1). */
export const scp03Modes = ['s8', 's16'] as const;
export type Scp03Mode = (typeof scp03Modes)[number];

/** How a card AP's channel is made up; both sides must agree on it. */
export interface Scp03Parameters {
  readonly cipher: Scp03Cipher;
  readonly level: Scp03Level;
  readonly mode: Scp03Mode;
}

export const scp03KeyLengths: Readonly<Record<Scp03Cipher, number>> = {
  'aes-128': 16,
  'aes-192': 24,
  'aes-256': 32,
};

/** Bytes of a challenge, of a cryptogram and of a MAC. */
export const scp03Lengths: Readonly<Record<Scp03Mode, number>> = { s8: 8, s16: 16 };

/** What a level protects. */
export interface Scp03Protection {
  readonly encryptsCommands: boolean;
  readonly authenticatesResponses: boolean;
  readonly encryptsResponses: boolean;
}

export function scp03Protection(level: Scp03Level): Scp03Protection {
  const bits = Number.parseInt(level, 16);
  return {
    encryptsCommands: (bits & 0x02) !== 0,
    authenticatesResponses: (bits & 0x10) !== 0,
    encryptsResponses: (bits & 0x20) !== 0,
  };
}

/** Bits of the parameter i that the card names (Amendment D, 5.1). */
export const scp03Options = {
  s16: 0x01,
  pseudoRandomChallenge: 0x10,
  rMac: 0x20,
  rMacAndREnc: 0x60,
} as const;

/** First byte of the class in the clear, and the bit that marks a protected command (GPC 2.3, 11.1.4). */
export const gpClass = 0x80;
export const gpSecureMessaging = 0x04;
export const initializeUpdateInstruction = 0x50;
export const externalAuthenticateInstruction = 0x82;
/** Secure Channel Protocol identifier in the answer to INITIALIZE UPDATE. */
export const scp03Identifier = 0x03;
export const diversificationDataLength = 10;
export const sequenceLength = 3;

/** Derivation constants (Amendment D, table 4-1). */
const constants = {
  cardCryptogram: 0x00,
  hostCryptogram: 0x01,
  cardChallenge: 0x02,
  sEnc: 0x04,
  sMac: 0x06,
  sRmac: 0x07,
} as const;

/**
 * Data derivation (Amendment D, 4.1.5): block i = CMAC(key, 00*11 || constant || 00 || L || i || context), L in bits.
 * The receiver zeroes the bytes after use.
 */
export function deriveScp03(
  key: Pick<AesCmac, 'mac'>,
  constant: keyof typeof constants,
  context: Uint8Array,
  length: number,
): Uint8Array {
  const before = new Uint8Array(15);
  before[11] = constants[constant];
  before[13] = length >> 5;
  before[14] = (length << 3) & 0xff;
  return counterKdf(key, { before, after: context }, length);
}

/** The pseudo-random card challenge: from the ENC key, the sequence counter and the AID (Amendment D, 6.2.2.1). */
export function pseudoRandomChallenge(
  encryptionKey: Pick<AesCmac, 'mac'>,
  { sequence, aid, mode }: { sequence: number; aid: Uint8Array; mode: Scp03Mode },
): Uint8Array {
  return deriveScp03(
    encryptionKey,
    'cardChallenge',
    concat(sequenceBytes(sequence), aid),
    scp03Lengths[mode],
  );
}

export function sequenceBytes(sequence: number): Uint8Array {
  return Uint8Array.of(sequence >> 16, (sequence >> 8) & 0xff, sequence & 0xff);
}
