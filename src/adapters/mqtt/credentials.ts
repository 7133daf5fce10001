/** What one side of a mutual TLS connection shows and believes; all PEM (RFC 7468). */
export interface TlsCredentials {
  /** own certificate first, then the authorities between it and the root that the other side knows */
  readonly certificates: string;
  /** PKCS#8 */
  readonly privateKey: string;
  /** the authorities that the other side must come from */
  readonly authorities: string;
}
