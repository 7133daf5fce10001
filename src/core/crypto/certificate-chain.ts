import { X509Certificate } from 'node:crypto';
import { plainBytes, toHex } from '#core/bytes/bytes.ts';

/** What the first certificate of a chain says. */
export interface ChainEnd {
  /** parts in the order of the certificate, one a line */
  readonly subject: string;
  readonly serialNumber: string;
  /** SubjectPublicKeyInfo, DER */
  readonly publicKey: Uint8Array;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/**
 * Reads a chain of certificates (DER), each signed by the authority after it, of which the last must be `authority`;
 * undefined for anything else. What the authorities may name, and the time, are for TLS to check, which does at every use.
 */
export function readCertificateChain(
  chain: readonly Uint8Array[],
  authority: Uint8Array,
): ChainEnd | undefined {
  const last = chain.at(-1);
  if (!last || toHex(last) !== toHex(authority)) return undefined;
  try {
    const certificates = chain.map((der) => new X509Certificate(der));
    const linked = certificates.slice(1).every((above, at) => {
      const below = certificates[at];
      return above.ca && below?.checkIssued(above) === true && below.verify(above.publicKey);
    });
    const [first] = certificates;
    if (!linked || !first || first.ca) return undefined;
    return {
      subject: first.subject,
      serialNumber: first.serialNumber,
      publicKey: plainBytes(first.publicKey.export({ format: 'der', type: 'spki' })),
      notBeforeMs: Date.parse(first.validFrom),
      notAfterMs: Date.parse(first.validTo),
    };
  } catch {
    return undefined;
  }
}
