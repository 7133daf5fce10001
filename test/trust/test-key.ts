import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { toHex } from '#core/bytes/bytes.ts';
import { digest } from '#core/crypto/digest.ts';
import type { Signing } from '#ports/signing.ts';

/** A P-256 key in memory. */
export class TestKey implements Signing {
  readonly privateKey: KeyObject;
  readonly #spki: Uint8Array;

  constructor(privateKey: KeyObject = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey) {
    this.privateKey = privateKey;
    this.#spki = new Uint8Array(createPublicKey(privateKey).export({ format: 'der', type: 'spki' }));
  }

  keyId(): string {
    return toHex(digest('sha-256', this.#spki));
  }

  publicKey(): Uint8Array {
    return this.#spki.slice();
  }

  async sign(message: Uint8Array): Promise<Uint8Array> {
    return new Uint8Array(sign('sha256', message, { key: this.privateKey, dsaEncoding: 'ieee-p1363' }));
  }

  pem(): string {
    return this.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  }
}
