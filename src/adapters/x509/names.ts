// the library finds its own parts by metadata of decorators, which this defines
import 'reflect-metadata';
import { Name } from '@peculiar/x509';
import { concat } from '#core/bytes/bytes.ts';
import { issuanceUsername, type TerminalIdentity } from '#core/sync/terminal-identity.ts';
import { der, derConstructed, derPrimitive, derSequence } from './der.ts';

export const organizationSubject = (organization: string): Name => new Name([{ O: [organization] }]);

/** The organization first: that is the part to which the organization's authority is constrained. */
export const terminalSubject = ({ organization, terminal }: TerminalIdentity): Name =>
  new Name([{ O: [organization] }, { CN: [terminal] }]);

export const commonName = (name: string): Name => new Name([{ CN: [name] }]);

export const issuanceSubject = new Name(issuanceUsername);

/** Every name of these kinds: an empty DNS name, and each address under a mask of zeros (RFC 5280, 4.2.1.10). */
const everyHost = [
  derPrimitive(1, new Uint8Array()),
  derPrimitive(2, new Uint8Array()),
  derPrimitive(6, new Uint8Array()),
  derPrimitive(7, new Uint8Array(8)),
  derPrimitive(7, new Uint8Array(32)),
];

/**
 * NameConstraints (RFC 5280, 4.2.1.10) that leave to an authority the subjects that begin with `name` and nothing else:
 * without the excluded kinds, it could name servers, of which a subject says nothing.
 */
export function nameConstraints(name: Name): Uint8Array {
  const subtree = (base: Uint8Array) => der(derSequence, base);
  const permitted = subtree(derConstructed(4, new Uint8Array(name.toArrayBuffer())));
  return der(derSequence, derConstructed(0, permitted), derConstructed(1, concat(...everyHost.map(subtree))));
}
