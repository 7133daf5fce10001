import { AesCmac } from '#core/crypto/cmac.ts';

/** Tells the keys of one card apart: without it the encryption and the MAC key of a card would be equal. */
const keyPurposes = { encryption: 0x01, mac: 0x02 } as const;
export type KeyPurpose = keyof typeof keyPurposes;

/** Longest diversifier that leaves room for the purpose. */
export const longestDiversifier = 30;

/** Makes cards' keys from one master key by AES-128 key diversification (NXP AN10922, 2.2). */
export class Diversification {
  readonly #cmac: AesCmac;

  /** Copies `master`, 16 bytes. */
  constructor(master: Uint8Array) {
    if (master.length !== 16) throw new TypeError('AN10922 for AES-128 needs a key of 16 bytes');
    this.#cmac = new AesCmac(master);
  }

  /**
   * CMAC over 01 || `input`, but always of 32 bytes, so that for short inputs it is not plain CMAC.
   * `input` has 1 to 31 bytes.
   */
  diversify(input: Uint8Array): Uint8Array {
    if (input.length < 1 || input.length > 31) throw new TypeError('AN10922 takes an input of 1 to 31 bytes');
    const message = new Uint8Array(1 + input.length);
    message[0] = 0x01;
    message.set(input, 1);
    return this.#cmac.macOfBlocks(message, 2);
  }

  /** A card's static key for one purpose: the input is the purpose byte and the card's diversifier. */
  cardKey(purpose: KeyPurpose, diversifier: Uint8Array): Uint8Array {
    const input = new Uint8Array(1 + diversifier.length);
    input[0] = keyPurposes[purpose];
    input.set(diversifier, 1);
    return this.diversify(input);
  }

  /** Zeroes the master key. */
  close(): void {
    this.#cmac.close();
  }
}
