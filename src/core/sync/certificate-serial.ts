import { z } from 'zod';
import { toHex } from '#core/bytes/bytes.ts';

/**
 * Serial number of a certificate: 16 bytes as upper-case hexadecimal, the first from 40 to 7F, so that it is a positive
 * number without leading zeros and every program writes it alike. Revocation compares it as text.
 */
export const certificateSerial = z.string().regex(/^[4-7][0-9A-F]{31}$/);

/** A serial number out of 16 bytes of randomness, 126 bits of which count (RFC 5280, 4.1.2.2 asks for uniqueness alone). */
export function newCertificateSerial(random: Uint8Array): string {
  if (random.length !== 16) throw new TypeError(`${random.length} bytes for a serial number`);
  return toHex(random.with(0, ((random[0] ?? 0) & 0x3f) | 0x40));
}
