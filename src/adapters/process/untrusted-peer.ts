/**
 * Whether `code` is what Node calls a TLS certificate of the other side that cannot be believed. `UNSPECIFIED` are those
 * of OpenSSL's reasons that it has no name for, such as a name to which the authority has no right.
 */
export function isUntrustedPeer(code: string): boolean {
  return /^(?:UNSPECIFIED$|CERT_|ERR_TLS_CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_EXCEEDED|HOSTNAME_MISMATCH)/.test(
    code,
  );
}
