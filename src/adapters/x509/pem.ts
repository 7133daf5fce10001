import { plainBytes } from '#core/bytes/bytes.ts';

/** Certificates (DER) as PEM text (RFC 7468), in their order. */
export function certificatePem(...certificates: readonly Uint8Array[]): string {
  return certificates.map((der) => pem('CERTIFICATE', der)).join('');
}

/** A certificate revocation list (DER) as PEM text. */
export function revocationListPem(list: Uint8Array): string {
  return pem('X509 CRL', list);
}

/** The certificates (DER) of a PEM text, in their order; none for what is no such text. */
export function readCertificatePem(text: string): readonly Uint8Array[] {
  const blocks = text.matchAll(/-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----/g);
  return [...blocks].map(([, base64 = '']) => plainBytes(Buffer.from(base64, 'base64')));
}

function pem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}
