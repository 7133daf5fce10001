import { concat } from '#core/bytes/bytes.ts';
import { aesBlockLength, aesCbcDecrypt, aesCbcEncrypt, aesEcbEncrypt } from '#core/crypto/aes.ts';
import { aesCmac } from '#core/crypto/cmac.ts';
import { padIso9797 } from '#core/crypto/padding.ts';
import {
  desBlockLength,
  retailMac,
  tripleDesCbcDecrypt,
  tripleDesCbcEncrypt,
  withDesParity,
} from '#core/crypto/triple-des.ts';

export type ChannelCipher = 'aes-128' | '3des';

/** What differs between the two generations of the mechanism; MACs have 8 bytes, keys 16. */
export interface ChannelSuite {
  readonly blockLength: number;
  encrypt(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array;
  decrypt(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array;
  /** MAC of the handshake cryptogram */
  handshakeMac(key: Uint8Array, cryptogram: Uint8Array): Uint8Array;
  /** MAC of a protected message, padded by method 2 once */
  messageMac(key: Uint8Array, message: Uint8Array): Uint8Array;
  messageIv(encryptionKey: Uint8Array, counter: Uint8Array): Uint8Array;
  /** send sequence counter before the first command */
  initialCounter(cardNonce: Uint8Array, terminalNonce: Uint8Array): Uint8Array;
  /** a session key from the first 16 bytes of the key derivation's hash */
  adjustKey(key: Uint8Array): Uint8Array;
}

const desIv = new Uint8Array(desBlockLength);

/** ICAO Doc 9303-11, 9.8: triple DES, retail MAC, IV 0, counter from the nonces. */
const tripleDes: ChannelSuite = {
  blockLength: desBlockLength,
  encrypt: tripleDesCbcEncrypt,
  decrypt: tripleDesCbcDecrypt,
  handshakeMac: retailMac,
  messageMac: retailMac,
  messageIv: () => desIv,
  initialCounter: (cardNonce, terminalNonce) =>
    concat(cardNonce.subarray(4, 8), terminalNonce.subarray(4, 8)),
  adjustKey: withDesParity,
};

/** The handshake of the residence card's second generation; messages as in ICAO Doc 9303-11, 9.8.6.2 and 9.8.7.2. */
const aes128: ChannelSuite = {
  blockLength: aesBlockLength,
  encrypt: aesCbcEncrypt,
  decrypt: aesCbcDecrypt,
  handshakeMac: (key, cryptogram) => aesCmac(key, cryptogram).subarray(0, 8),
  messageMac: (key, message) => aesCmac(key, padIso9797(message, aesBlockLength)).subarray(0, 8),
  messageIv: aesEcbEncrypt,
  initialCounter: () => new Uint8Array(aesBlockLength),
  adjustKey: (key) => key,
};

export const channelSuites: Readonly<Record<ChannelCipher, ChannelSuite>> = {
  'aes-128': aes128,
  '3des': tripleDes,
};
