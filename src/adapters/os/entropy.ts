import { randomBytes } from 'node:crypto';
import type { Entropy } from '#ports/entropy.ts';

/** The random number generator of the operating system. */
export class SystemEntropy implements Entropy {
  bytes(length: number): Uint8Array {
    return new Uint8Array(randomBytes(length));
  }
}
