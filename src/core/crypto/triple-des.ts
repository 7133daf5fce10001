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

function inCbc(
  create: typeof createCipheriv | typeof createDecipheriv,
  key: Uint8Array,
  iv: Uint8Array,
  data: Uint8Array,
): Uint8Array {
  const keys = threeKeys(key);
  try {
    return plainBytes(create('des-ede3-cbc', keys, iv).setAutoPadding(false).update(data));
  } finally {
    keys.fill(0);
  }
}

export function tripleDesCbcEncrypt(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array {
  return inCbc(createCipheriv, key, iv, data);
}

export function tripleDesCbcDecrypt(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array {
  return inCbc(createDecipheriv, key, iv, data);
}

/** The last block of CBC with single DES, which is triple DES with one key three times. */
function singleDesLastBlock(key: Uint8Array, data: Uint8Array): Uint8Array {
  const twice = concat(key, key);
  try {
    return tripleDesCbcEncrypt(twice, zeroBlock, data).subarray(-desBlockLength);
  } finally {
    twice.fill(0);
  }
}

/**
 * Retail MAC, 8 bytes: ISO/IEC 9797-1 MAC algorithm 3 with DES, padding method 2, IV 0. All blocks but the last go
 * through single DES, and the last through triple DES.
 */
export function retailMac(key: Uint8Array, message: Uint8Array): Uint8Array {
  const padded = padIso9797(message, desBlockLength);
  const last = padded.length - desBlockLength;
  const chained = last === 0 ? zeroBlock : singleDesLastBlock(key.subarray(0, 8), padded.subarray(0, last));
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
