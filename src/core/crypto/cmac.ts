import { xorInto } from '#core/bytes/bytes.ts';
import { AesCbc, aesBlockLength } from '#core/crypto/aes.ts';

/** Multiplication by x in GF(2^128) (NIST SP 800-38B, 6.1). */
function double(block: Uint8Array): Uint8Array {
  const doubled = block.map((byte, i) => (byte << 1) | ((block[i + 1] ?? 0) >> 7));
  const reduction = block.subarray(0, 1).map((first) => -(first >> 7) & 0x87);
  xorInto(doubled.subarray(-1), reduction);
  return doubled;
}

/** The two subkeys that the last block is masked with (NIST SP 800-38B, 6.1). Secret as long as the key is. */
export interface CmacSubkeys {
  readonly k1: Uint8Array;
  readonly k2: Uint8Array;
}

/** Makes the subkeys from the block of zeros encrypted under the key. */
export function cmacSubkeys(encryptedZeros: Uint8Array): CmacSubkeys {
  const k1 = double(encryptedZeros);
  return { k1, k2: double(k1) };
}

/**
 * `message` padded to `count` blocks, even where fewer would hold it, with its last block masked: the last block of its
 * CBC encryption with IV 0 is the MAC (NIST SP 800-38B, 6.2).
 */
export function cmacInput(message: Uint8Array, count: number, { k1, k2 }: CmacSubkeys): Uint8Array {
  const blocks = new Uint8Array(count * aesBlockLength);
  blocks.set(message);
  const whole = message.length === blocks.length;
  if (!whole) blocks[message.length] = 0x80;
  xorInto(blocks.subarray(-aesBlockLength), whole ? k1 : k2);
  return blocks;
}

/** AES-CMAC (NIST SP 800-38B; RFC 4493) for many messages under one key. */
export class AesCmac {
  readonly #cipher: AesCbc;
  readonly #subkeys: CmacSubkeys;

  /** Copies `key`. */
  constructor(key: Uint8Array) {
    this.#cipher = new AesCbc(key);
    const encryptedZeros = this.#cipher.lastBlock(new Uint8Array(aesBlockLength));
    this.#subkeys = cmacSubkeys(encryptedZeros);
    encryptedZeros.fill(0);
  }

  /** The 16 bytes of the MAC (NIST SP 800-38B, 6.2). */
  mac(message: Uint8Array): Uint8Array {
    const count = Math.max(1, Math.ceil(message.length / aesBlockLength));
    const input = cmacInput(message, count, this.#subkeys);
    try {
      return this.#cipher.lastBlock(input);
    } finally {
      // the message is known: its masked block would tell a subkey
      input.fill(0);
    }
  }

  /** Zeroes keys and subkeys. Safe to call twice. */
  close(): void {
    this.#cipher.close();
    this.#subkeys.k1.fill(0);
    this.#subkeys.k2.fill(0);
  }
}
