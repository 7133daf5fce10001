import { aesBlockLength } from '#core/crypto/aes.ts';
import { cbcMacWithSubkey, cmacSubkeys } from '#core/crypto/cmac.ts';

/** Tells the keys of one card apart: without it the encryption and the MAC key of a card would be equal. */
export const keyPurposes = { encryption: 0x01, mac: 0x02 } as const;
export type KeyPurpose = keyof typeof keyPurposes;

/**
 * AES-128 key diversification (NXP AN10922, 2.2): CMAC over 01 || `input`, but always of 32 bytes, so that for
 * short inputs it is not plain CMAC. `input` has 1 to 31 bytes.
 */
export function diversifyAes128(master: Uint8Array, input: Uint8Array): Uint8Array {
  if (master.length !== 16) throw new TypeError('AN10922 for AES-128 needs a key of 16 bytes');
  if (input.length < 1 || input.length > 31) throw new TypeError('AN10922 takes an input of 1 to 31 bytes');
  const blocks = new Uint8Array(2 * aesBlockLength);
  blocks[0] = 0x01;
  blocks.set(input, 1);
  const padded = input.length < 31;
  if (padded) blocks[1 + input.length] = 0x80;
  const { k1, k2 } = cmacSubkeys(master);
  const key = cbcMacWithSubkey(master, blocks, padded ? k2 : k1);
  k1.fill(0);
  k2.fill(0);
  return key;
}

/** A card's static key for one purpose: the input is the purpose byte and the card's diversifier (at most 30 bytes). */
export function diversifyCardKey(
  master: Uint8Array,
  purpose: KeyPurpose,
  diversifier: Uint8Array,
): Uint8Array {
  const input = new Uint8Array(1 + diversifier.length);
  input[0] = keyPurposes[purpose];
  input.set(diversifier, 1);
  return diversifyAes128(master, input);
}
