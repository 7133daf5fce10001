import { aesBlockLength, aesCbcEncrypt, aesEcbEncrypt } from '#core/crypto/aes.ts';

const zeroBlock = new Uint8Array(aesBlockLength);

/** Multiplication by x in GF(2^128) (NIST SP 800-38B, 6.1). */
function double(block: Uint8Array): Uint8Array {
  const doubled = new Uint8Array(aesBlockLength);
  for (let i = 0; i < aesBlockLength; i += 1) {
    doubled[i] = ((block[i] ?? 0) << 1) | ((block[i + 1] ?? 0) >> 7);
  }
  doubled[aesBlockLength - 1] = (doubled[aesBlockLength - 1] ?? 0) ^ (-((block[0] ?? 0) >> 7) & 0x87);
  return doubled;
}

/** Subkeys K1, for a message of whole blocks, and K2, for a padded one (NIST SP 800-38B, 6.1). */
export function cmacSubkeys(key: Uint8Array): { k1: Uint8Array; k2: Uint8Array } {
  const l = aesEcbEncrypt(key, zeroBlock);
  const k1 = double(l);
  const k2 = double(k1);
  l.fill(0);
  return { k1, k2 };
}

/** CBC-MAC of `blocks`, whose last block `subkey` is added to; changes `blocks`. */
export function cbcMacWithSubkey(key: Uint8Array, blocks: Uint8Array, subkey: Uint8Array): Uint8Array {
  const last = blocks.length - aesBlockLength;
  for (let i = 0; i < aesBlockLength; i += 1) blocks[last + i] = (blocks[last + i] ?? 0) ^ (subkey[i] ?? 0);
  return aesCbcEncrypt(key, zeroBlock, blocks).subarray(last);
}

/** AES-CMAC, 16 bytes (NIST SP 800-38B, 6.2; RFC 4493). */
export function aesCmac(key: Uint8Array, message: Uint8Array): Uint8Array {
  const { k1, k2 } = cmacSubkeys(key);
  const whole = message.length > 0 && message.length % aesBlockLength === 0;
  const blocks = new Uint8Array(Math.max(1, Math.ceil(message.length / aesBlockLength)) * aesBlockLength);
  blocks.set(message);
  if (!whole) blocks[message.length] = 0x80;
  const mac = cbcMacWithSubkey(key, blocks, whole ? k1 : k2);
  k1.fill(0);
  k2.fill(0);
  return mac;
}
