import type { TerminalIdentity } from '#core/sync/terminal-identity.ts';

/** From when and until when something holds, milliseconds UTC. */
export interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface CertificateOrder extends Validity {
  /** SubjectPublicKeyInfo (DER) of an ECDSA P-256 key */
  readonly publicKey: Uint8Array;
  /** as `newCertificateSerial` makes it */
  readonly serialNumber: string;
}

export interface TerminalCertificateOrder extends CertificateOrder {
  readonly identity: TerminalIdentity;
}

/** Why a certificate is good no more (RFC 5280, 5.3.1). */
export type RevocationReason = 'key-compromise' | 'superseded' | 'cessation';

export interface RevokedCertificate {
  readonly serialNumber: string;
  readonly revokedAtMs: number;
  readonly reason: RevocationReason;
}

export interface RevocationListOrder {
  readonly revoked: readonly RevokedCertificate[];
  /** from 1, growing with each list */
  readonly number: number;
  readonly thisUpdateMs: number;
  readonly nextUpdateMs: number;
}

/** What an authority signs for those below it; certificates and lists are X.509 in DER. */
export interface CertificateIssue {
  /** Its own certificate, and those between it and the one that everybody knows, in this order. */
  chain(): readonly Uint8Array[];
  /** Rejects with `argument-invalid` for a terminal that is not of this authority's organization. */
  issueTerminal(order: TerminalCertificateOrder): Promise<Uint8Array>;
  issueRevocationList(order: RevocationListOrder): Promise<Uint8Array>;
}

/**
 * Reads a certificate request (PKCS#10, DER): the SubjectPublicKeyInfo of its ECDSA P-256 key, whose owner has signed
 * it; undefined for anything else. What else it asks for is not looked at: names are assigned.
 */
export type ReadCertificateRequest = (request: Uint8Array) => Promise<Uint8Array | undefined>;

/** A key of a device, made to be certified. */
export interface CertificateKey {
  /** PKCS#8, PEM */
  readonly privateKey: string;
  /** PKCS#10, DER */
  readonly request: Uint8Array;
}

export type MakeCertificateKey = () => Promise<CertificateKey>;
