/** Certificates (DER) as PEM text (RFC 7468), in their order. */
export function certificatePem(...certificates: readonly Uint8Array[]): string {
  return certificates.map((der) => pem('CERTIFICATE', der)).join('');
}

/** A certificate revocation list (DER) as PEM text. */
export function revocationListPem(list: Uint8Array): string {
  return pem('X509 CRL', list);
}

function pem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}
