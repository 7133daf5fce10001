import { createHash } from 'node:crypto';

/** What the server keeps of an enrolment's secret: of 32 random bytes, one round of SHA-256 gives nothing away. */
export function hashOfSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}
