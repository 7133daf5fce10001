import { hash } from 'node:crypto';
import { plainBytes } from '#core/bytes/bytes.ts';

export type DigestName = 'sha-1' | 'sha-256';

/** SHA-1 or SHA-256 (FIPS 180-4). SHA-1 serves the key derivation of card standards alone, never signatures. */
export function digest(algorithm: DigestName, data: Uint8Array): Uint8Array {
  return plainBytes(hash(algorithm === 'sha-1' ? 'sha1' : 'sha256', data, 'buffer'));
}

/** SHA-256 as upper-case hexadecimal, in less than half the time that its bytes and then their text take. */
export function sha256Text(data: Uint8Array): string {
  return hash('sha256', data, 'hex').toUpperCase();
}
