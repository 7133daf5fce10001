import type { AesCmac } from '#core/crypto/cmac.ts';

/** What surrounds the counter in every input of the PRF; standards differ in the order. */
export interface CounterKdfInput {
  readonly before?: Uint8Array;
  readonly after: Uint8Array;
}

/**
 * Key derivation in counter mode with CMAC and a counter of 8 bits (NIST SP 800-108, 5.1): `length` bytes, at most
 * 255 blocks, of PRF(before || i || after), i from 1. The receiver zeroes them after use.
 */
export function counterKdf(
  prf: Pick<AesCmac, 'mac'>,
  { before = new Uint8Array(), after }: CounterKdfInput,
  length: number,
): Uint8Array {
  const input = new Uint8Array(before.length + 1 + after.length);
  input.set(before);
  input.set(after, before.length + 1);
  const derived = new Uint8Array(length);
  for (let made = 0, i = 1; made < length; i += 1) {
    if (i > 0xff) throw new TypeError('a counter of 8 bits makes 255 blocks at most');
    input[before.length] = i;
    const block = prf.mac(input);
    derived.set(block.subarray(0, length - made), made);
    made += block.length;
    block.fill(0);
  }
  return derived;
}
