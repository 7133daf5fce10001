import { createCipheriv, createDecipheriv } from 'node:crypto';
import { concat, plainBytes } from '#core/bytes/bytes.ts';
import { padIso9797 } from '#core/crypto/padding.ts';

/** Two-key triple DES (ISO/IEC 18033-3) on whole blocks without padding; keys have 16 bytes. */

export const desBlockLength = 8;

const zeroBlock = new Uint8Array(desBlockLength);

function threeKeys(key: Uint8Array): Uint8Array {
  if (key.length !== 16) throw new TypeError('two-key triple DES needs a key of 16 bytes');
  return concat(key, key.subarray(0, 8));
}

export function tripleDesCbcEncrypt(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array {
  return plainBytes(createCipheriv('des-ede3-cbc', threeKeys(key), iv).setAutoPadding(false).update(data));
}

export function tripleDesCbcDecrypt(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array {
  return plainBytes(createDecipheriv('des-ede3-cbc', threeKeys(key), iv).setAutoPadding(false).update(data));
}

/**
 * Retail MAC, 8 bytes: ISO/IEC 9797-1 MAC algorithm 3 with DES, padding method 2, IV 0. All blocks but the last go
 * through single DES, which is triple DES with one key three times, and the last through triple DES.
 */
export function retailMac(key: Uint8Array, message: Uint8Array): Uint8Array {
  const padded = padIso9797(message, desBlockLength);
  const last = padded.length - desBlockLength;
  const first = key.subarray(0, 8);
  const chained =
    last === 0
      ? zeroBlock
      : tripleDesCbcEncrypt(concat(first, first), zeroBlock, padded.subarray(0, last)).subarray(-8);
  return tripleDesCbcEncrypt(key, chained, padded.subarray(last));
}

/** Sets each byte's lowest bit so that the byte has an odd number of ones (FIPS 46-3; ICAO Doc 9303-11, 9.7.1.1). */
export function withDesParity(key: Uint8Array): Uint8Array {
  return key.map((byte) => {
    let ones = byte >> 1;
    ones ^= ones >> 4;
    ones ^= ones >> 2;
    ones ^= ones >> 1;
    return (byte & 0xfe) | (~ones & 1);
  });
}
