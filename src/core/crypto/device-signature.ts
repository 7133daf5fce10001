import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { toHex } from '#core/bytes/bytes.ts';
import { digest } from './digest.ts';

/** A device's public key, ready to verify with. Device keys are ECDSA P-256, signatures r || s (64 bytes). */
export interface DevicePublicKey {
  /** SHA-256 of the SubjectPublicKeyInfo, upper-case hexadecimal */
  readonly keyId: string;
  readonly key: KeyObject;
}

/** Reads a SubjectPublicKeyInfo, as DER bytes or PEM text; undefined when it is none of an ECDSA P-256 key. */
export function parseDevicePublicKey(spki: Uint8Array | string): DevicePublicKey | undefined {
  try {
    const key =
      typeof spki === 'string'
        ? createPublicKey({ key: spki, format: 'pem' })
        : createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
    if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
      return undefined;
    return { keyId: toHex(digest('sha-256', key.export({ format: 'der', type: 'spki' }))), key };
  } catch {
    return undefined;
  }
}

/** Whether `signature` (r || s) of `message` was made with the private key of `publicKey` (ECDSA P-256, SHA-256). */
export function isSignedBy(publicKey: DevicePublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== 64) return false;
  return verify('sha256', message, { key: publicKey.key, dsaEncoding: 'ieee-p1363' }, signature);
}
