import { concat, copyOf } from '#core/bytes/bytes.ts';
import { AesCbc, aesBlockLength } from '#core/crypto/aes.ts';
import { AesCmac } from '#core/crypto/cmac.ts';
import { padIso9797 } from '#core/crypto/padding.ts';
import {
  desBlockLength,
  retailMac,
  tripleDesCbcDecrypt,
  tripleDesCbcEncrypt,
  withDesParity,
} from '#core/crypto/triple-des.ts';

export type ChannelCipher = 'aes-128' | '3des';

/** A block cipher in CBC mode with its key, on whole blocks; `close` zeroes the key and may be called twice. */
export interface KeyedCipher {
  encrypt(iv: Uint8Array, data: Uint8Array): Uint8Array;
  decrypt(iv: Uint8Array, data: Uint8Array): Uint8Array;
  /** does now what the first message in this direction would have to wait for */
  prepare(direction: 'encryption' | 'decryption'): void;
  /** IV of a protected message */
  messageIv(counter: Uint8Array): Uint8Array;
  close(): void;
}

/** A MAC of 8 bytes with its key; `close` zeroes the key and may be called twice. */
export interface KeyedMac {
  ofHandshake(cryptogram: Uint8Array): Uint8Array;
  /** MAC of a protected message, padded by method 2 once */
  ofMessage(message: Uint8Array): Uint8Array;
  close(): void;
}

/** What differs between the two generations of the mechanism. Both copy the keys they are given, of 16 bytes. */
export interface ChannelSuite {
  readonly blockLength: number;
  cipher(key: Uint8Array): KeyedCipher;
  mac(key: Uint8Array): KeyedMac;
  /** send sequence counter before the first command */
  initialCounter(cardNonce: Uint8Array, terminalNonce: Uint8Array): Uint8Array;
  /** a session key, in memory of its own, from the first 16 bytes of the key derivation's hash */
  adjustKey(key: Uint8Array): Uint8Array;
}

function tripleDesCipher(givenKey: Uint8Array): KeyedCipher {
  const key = copyOf(givenKey);
  const zeroIv = new Uint8Array(desBlockLength);
  return {
    encrypt: (iv, data) => tripleDesCbcEncrypt(key, iv, data),
    decrypt: (iv, data) => tripleDesCbcDecrypt(key, iv, data),
    prepare: () => undefined,
    messageIv: () => zeroIv,
    close: () => key.fill(0),
  };
}

function tripleDesMac(givenKey: Uint8Array): KeyedMac {
  const key = copyOf(givenKey);
  const mac = (message: Uint8Array) => retailMac(key, message);
  return { ofHandshake: mac, ofMessage: mac, close: () => key.fill(0) };
}

/** ICAO Doc 9303-11, 9.8: triple DES, retail MAC, IV 0, counter from the nonces. */
const tripleDes: ChannelSuite = {
  blockLength: desBlockLength,
  cipher: tripleDesCipher,
  mac: tripleDesMac,
  initialCounter: (cardNonce, terminalNonce) =>
    concat(cardNonce.subarray(4, 8), terminalNonce.subarray(4, 8)),
  adjustKey: withDesParity,
};

function aesCipher(key: Uint8Array): KeyedCipher {
  const aes = new AesCbc(key);
  return {
    encrypt: (iv, data) => aes.encrypt(iv, data),
    decrypt: (iv, data) => aes.decrypt(iv, data),
    prepare: (direction) => aes.prepare(direction),
    messageIv: (counter) => aes.lastBlock(counter),
    close: () => aes.close(),
  };
}

function aesMac(key: Uint8Array): KeyedMac {
  const cmac = new AesCmac(key);
  return {
    ofHandshake: (cryptogram) => cmac.mac(cryptogram).subarray(0, 8),
    ofMessage: (message) => cmac.mac(padIso9797(message, aesBlockLength)).subarray(0, 8),
    close: () => cmac.close(),
  };
}

/** The handshake of the residence card's second generation; messages as in ICAO Doc 9303-11, 9.8.6.2 and 9.8.7.2. */
const aes128: ChannelSuite = {
  blockLength: aesBlockLength,
  cipher: aesCipher,
  mac: aesMac,
  initialCounter: () => new Uint8Array(aesBlockLength),
  adjustKey: copyOf,
};

export const channelSuites: Readonly<Record<ChannelCipher, ChannelSuite>> = {
  'aes-128': aes128,
  '3des': tripleDes,
};
