import { createCipheriv, createDecipheriv } from 'node:crypto';
import { Secret, TOTP } from 'otpauth';
import { concat } from '#core/bytes/bytes.ts';
import type { Entropy } from '#ports/entropy.ts';

const secretLength = 20;
const nonceLength = 12;
const tagLength = 16;
const stepMs = 30_000;
const digits = 6;

/** The clock of a telephone may be one step behind or ahead (RFC 6238, 5.2). */
const window = 1;

/**
 * One-time passwords by time (RFC 6238). Their secrets must be read again to be checked, so they are stored sealed
 * (AES-256-GCM) under a key that is kept outside the database, each bound to its account.
 */
export class OneTimePasswords {
  readonly #key: Uint8Array;
  readonly #entropy: Entropy;

  /** `key`: 32 bytes */
  constructor(parts: { readonly key: Uint8Array; readonly entropy: Entropy }) {
    this.#key = parts.key;
    this.#entropy = parts.entropy;
  }

  /** A new secret: sealed for the database, and as the address that an authenticator app takes (otpauth:). */
  make(account: string, issuer: string): { readonly sealed: Uint8Array; readonly address: string } {
    const bytes = this.#entropy.bytes(secretLength);
    const secret = new Secret({ buffer: new Uint8Array(bytes).buffer });
    const address = new TOTP({ issuer, label: account, secret, digits, period: stepMs / 1_000 }).toString();
    return { sealed: this.#seal(bytes, account), address };
  }

  /** The step of time that `password` is of; undefined where it is of none that counts at `atMs`. */
  step(password: string, sealed: Uint8Array, account: string, atMs: number): number | undefined {
    const bytes = this.#open(sealed, account);
    const secret = new Secret({ buffer: new Uint8Array(bytes).buffer });
    const delta = TOTP.validate({ token: password, secret, digits, timestamp: atMs, window });
    bytes.fill(0);
    return delta === null ? undefined : Math.floor(atMs / stepMs) + delta;
  }

  #seal(bytes: Uint8Array, account: string): Uint8Array {
    const nonce = this.#entropy.bytes(nonceLength);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce, { authTagLength: tagLength });
    cipher.setAAD(Buffer.from(account));
    const sealed = concat(cipher.update(bytes), cipher.final());
    return concat(nonce, sealed, cipher.getAuthTag());
  }

  #open(sealed: Uint8Array, account: string): Uint8Array {
    const nonce = sealed.subarray(0, nonceLength);
    const decipher = createDecipheriv('aes-256-gcm', this.#key, nonce, { authTagLength: tagLength });
    decipher.setAAD(Buffer.from(account));
    decipher.setAuthTag(sealed.subarray(-tagLength));
    return concat(decipher.update(sealed.subarray(nonceLength, -tagLength)), decipher.final());
  }
}
