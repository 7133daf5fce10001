import { AesCbc, aesBlockLength } from '#core/crypto/aes.ts';

/** Multiplication by x in GF(2^128) (NIST SP 800-38B, 6.1). */
function double(block: Uint8Array): Uint8Array {
  const doubled = new Uint8Array(aesBlockLength);
  for (let i = 0; i < aesBlockLength; i += 1) {
    doubled[i] = ((block[i] ?? 0) << 1) | ((block[i + 1] ?? 0) >> 7);
  }
  doubled[aesBlockLength - 1] = (doubled[aesBlockLength - 1] ?? 0) ^ (-((block[0] ?? 0) >> 7) & 0x87);
  return doubled;
}

/** AES-CMAC (NIST SP 800-38B; RFC 4493) for many messages under one key, and the CBC-MAC it is made of. */
export class AesCmac {
  readonly #cipher: AesCbc;
  readonly #k1: Uint8Array;
  readonly #k2: Uint8Array;

  /** Copies `key`. */
  constructor(key: Uint8Array) {
    this.#cipher = new AesCbc(key);
    this.#k1 = double(this.#cipher.lastBlock(new Uint8Array(aesBlockLength)));
    this.#k2 = double(this.#k1);
  }

  /** The 16 bytes of the MAC (NIST SP 800-38B, 6.2). */
  mac(message: Uint8Array): Uint8Array {
    return this.macOfBlocks(message, Math.max(1, Math.ceil(message.length / aesBlockLength)));
  }

  /** As `mac`, with the message padded to `count` blocks even where fewer would hold it (NXP AN10922, 2.2). */
  macOfBlocks(message: Uint8Array, count: number): Uint8Array {
    const blocks = new Uint8Array(count * aesBlockLength);
    blocks.set(message);
    const whole = message.length === blocks.length;
    if (!whole) blocks[message.length] = 0x80;
    const subkey = whole ? this.#k1 : this.#k2;
    const last = blocks.length - aesBlockLength;
    for (let i = 0; i < aesBlockLength; i += 1) blocks[last + i] = (blocks[last + i] ?? 0) ^ (subkey[i] ?? 0);
    return this.#cipher.lastBlock(blocks);
  }

  /** Zeroes keys and subkeys. Safe to call twice. */
  close(): void {
    this.#cipher.close();
    this.#k1.fill(0);
    this.#k2.fill(0);
  }
}
