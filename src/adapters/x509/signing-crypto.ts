import type { webcrypto } from 'node:crypto';
import type { Signing } from '#ports/signing.ts';

/** What everything here is signed with. */
export const signatureAlgorithm = { name: 'ECDSA', hash: 'SHA-256' } as const;
const keyAlgorithm = { name: 'ECDSA', namedCurve: 'P-256' } as const;

/** A key of the signing port in the shape that the X.509 library asks for; it can sign and nothing else. */
export interface SigningKey {
  readonly keys: webcrypto.CryptoKeyPair;
  readonly crypto: webcrypto.Crypto;
}

/** The library signs through Web Crypto: this lets it sign with a key that stays where it is, as in a token. */
export function signingKey(signing: Signing): SigningKey {
  const part = { algorithm: keyAlgorithm, extractable: false };
  const subtle = {
    sign: async (_algorithm: unknown, _key: unknown, data: ArrayBuffer) =>
      new Uint8Array(await signing.sign(new Uint8Array(data))).buffer,
    exportKey: async () => new Uint8Array(signing.publicKey()).buffer,
  };
  return {
    keys: {
      privateKey: { ...part, type: 'private', usages: ['sign'] },
      publicKey: { ...part, type: 'public', usages: ['verify'] },
    },
    crypto: { subtle } as unknown as webcrypto.Crypto,
  };
}
