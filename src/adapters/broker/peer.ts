import type { TLSSocket } from 'node:tls';
import {
  issuanceUsername,
  parseBrokerUsername,
  type TerminalIdentity,
} from '#core/sync/terminal-identity.ts';

/** Who is at the other end of a connection whose certificate was verified. */
export type Peer = {
  readonly username: string;
  readonly serialNumber: string;
  /** SHA-256 of the certificate, upper-case hexadecimal */
  readonly fingerprint: string;
} & ({ readonly kind: 'terminal'; readonly identity: TerminalIdentity } | { readonly kind: 'issuance' });

/**
 * The peer by the whole subject of its certificate, which must be in the very shape that is issued; undefined for any
 * other. Node writes one line a part, in the order of the certificate, with several values of one part on one line
 * behind "+", and control characters, quotes, commas and the like behind a backslash: none of them can stand in a name.
 */
export function peerOf(socket: TLSSocket): Peer | undefined {
  const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined;
  if (!certificate) return undefined;
  // RFC 2253 writes the last part first
  const username = (certificate.subject ?? '').split('\n').reverse().join(',');
  const { serialNumber, fingerprint256 } = certificate;
  const fingerprint = fingerprint256.replaceAll(':', '');
  if (username === issuanceUsername) return { kind: 'issuance', username, serialNumber, fingerprint };
  const identity = parseBrokerUsername(username);
  return identity && { kind: 'terminal', identity, username, serialNumber, fingerprint };
}
