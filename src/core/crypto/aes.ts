import { type Cipheriv, createCipheriv, createDecipheriv, type Decipheriv } from 'node:crypto';
import { copyOf, plainBytes, xorInto } from '#core/bytes/bytes.ts';

export const aesBlockLength = 16;

const zeroBlock = new Uint8Array(aesBlockLength);

function demandWholeBlocks(data: Uint8Array): void {
  if (data.length === 0 || data.length % aesBlockLength !== 0)
    throw new TypeError('AES works on whole blocks');
}

/**
 * AES in CBC mode (FIPS 197, NIST SP 800-38A) on whole blocks without padding, for many messages under one key of
 * 16, 24 or 32 bytes. Making a cipher object costs twenty times what a message does, so each direction makes one,
 * at its first use, and carries on: its chaining value, known to be the last ciphertext block, is added out.
 */
export class AesCbc {
  readonly #key: Uint8Array;
  #encryption: Cipheriv | undefined;
  #decryption: Decipheriv | undefined;
  readonly #encryptionChain = new Uint8Array(aesBlockLength);
  readonly #decryptionChain = new Uint8Array(aesBlockLength);
  #closed = false;

  /** Copies `key`. */
  constructor(key: Uint8Array) {
    this.#key = copyOf(key);
  }

  encrypt(iv: Uint8Array, data: Uint8Array): Uint8Array {
    demandWholeBlocks(data);
    const encryption = this.#encryptionReady();
    const input = copyOf(data);
    xorInto(input, iv);
    xorInto(input, this.#encryptionChain);
    const encrypted = plainBytes(encryption.update(input));
    input.fill(0);
    this.#encryptionChain.set(encrypted.subarray(-aesBlockLength));
    return encrypted;
  }

  decrypt(iv: Uint8Array, data: Uint8Array): Uint8Array {
    demandWholeBlocks(data);
    const decrypted = plainBytes(this.#decryptionReady().update(data));
    xorInto(decrypted, iv);
    xorInto(decrypted, this.#decryptionChain);
    this.#decryptionChain.set(data.subarray(-aesBlockLength));
    return decrypted;
  }

  /** The last block of `data` encrypted with IV 0; of one block, AES in ECB mode. */
  lastBlock(data: Uint8Array): Uint8Array {
    return this.encrypt(zeroBlock, data).subarray(-aesBlockLength);
  }

  /** Makes one direction ready now, where there is time that its first message would not have. */
  prepare(direction: 'encryption' | 'decryption'): void {
    if (direction === 'encryption') this.#encryptionReady();
    else this.#decryptionReady();
  }

  /** Zeroes the key and what was encrypted last, and frees the ciphers; further use throws. Safe to call twice. */
  close(): void {
    this.#key.fill(0);
    this.#encryptionChain.fill(0);
    this.#encryption?.final();
    this.#decryption?.final();
    this.#encryption = undefined;
    this.#decryption = undefined;
    this.#closed = true;
  }

  #encryptionReady(): Cipheriv {
    this.#encryption ??= createCipheriv(this.#algorithm(), this.#key, zeroBlock).setAutoPadding(false);
    return this.#encryption;
  }

  #decryptionReady(): Decipheriv {
    this.#decryption ??= createDecipheriv(this.#algorithm(), this.#key, zeroBlock).setAutoPadding(false);
    return this.#decryption;
  }

  #algorithm(): string {
    if (this.#closed) throw new TypeError('the AES key is closed');
    return `aes-${this.#key.length * 8}-cbc`;
  }
}
