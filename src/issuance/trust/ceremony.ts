import { plainBytes } from '#core/bytes/bytes.ts';
import { Fault } from '#core/fault.ts';
import type { DocumentRefusal } from '#core/sync/document.ts';
import { type SignedDocument, signDocument } from '#core/sync/signed.ts';
import {
  nextTrustRoot,
  pinTrustRoot,
  type TrustRole,
  type TrustRoot,
  type TrustRootContent,
  trustRoles,
  trustRootBytes,
} from '#core/sync/trust.ts';
import type { Signing } from '#ports/signing.ts';

/** What a root is to say; what is absent stays as the root before has it. Public keys as SubjectPublicKeyInfo. */
export interface RootChange {
  readonly organization?: string;
  readonly roles: {
    readonly [role in TrustRole]?: { readonly threshold?: number; readonly keys?: readonly Uint8Array[] };
  };
  /** certificates (DER) */
  readonly authorities?: readonly Uint8Array[];
}

/**
 * The first root of an organization, or the one after `previous`, with no signature yet.
 *
 * @throws Fault `argument-invalid` where something is missing or contradicts itself
 */
export function draftRoot(change: RootChange, issuedAtMs: number, previous?: TrustRoot): SignedDocument {
  const organization = change.organization ?? previous?.organization;
  const authorities = change.authorities ?? previous?.authorities;
  if (organization === undefined || !authorities) {
    throw new Fault('argument-invalid', 'a first root needs an organization and its authorities');
  }
  if (previous && organization !== previous.organization) {
    throw new Fault(
      'argument-invalid',
      `the root before is of ${previous.organization}, not of ${organization}`,
    );
  }
  const roles = Object.fromEntries(trustRoles.map((role) => [role, roleOf(role, change, previous)]));
  const content: TrustRootContent = {
    organization,
    version: (previous?.version ?? 0) + 1,
    issuedAtMs,
    roles: roles as TrustRootContent['roles'],
    authorities,
  };
  const document = { raw: trustRootBytes(content), signatures: [] };
  const checked = pinTrustRoot(document);
  // it lacks its signatures, and nothing else
  if (checked.kind === 'refused' && checked.reason !== 'signatures-insufficient') {
    throw new Fault(
      'argument-invalid',
      'this is no root: each key must be ECDSA P-256 and stand in one role, and no threshold above the number of keys',
    );
  }
  return document;
}

function roleOf(role: TrustRole, change: RootChange, previous?: TrustRoot) {
  const before = previous?.roles[role];
  const given = change.roles[role];
  const known =
    before &&
    [...before.keys.values()].map(({ key }) => plainBytes(key.export({ format: 'der', type: 'spki' })));
  const keys = given?.keys ?? known;
  if (!keys) throw new Fault('argument-invalid', `a first root needs keys for the role ${role}`);
  return { threshold: given?.threshold ?? before?.threshold ?? 1, keys };
}

/** Adds the signature of one key, in place of one that it gave before. */
export async function addSignature(document: SignedDocument, signing: Signing): Promise<SignedDocument> {
  const { signatures } = await signDocument(document.raw, [signing]);
  const others = document.signatures.filter(({ keyId }) => keyId !== signing.keyId());
  return { raw: document.raw, signatures: [...others, ...signatures] };
}

/** Where a root stands: in force for terminals that know `previous`, or what keeps it from that. */
export function rootStanding(document: SignedDocument, previous?: TrustRoot): 'complete' | DocumentRefusal {
  const checked = previous ? nextTrustRoot(previous, document) : pinTrustRoot(document);
  return checked.kind === 'accepted' ? 'complete' : checked.reason;
}

/** What a root says, for a person to compare. */
export function describeRoot(root: TrustRoot): readonly string[] {
  const role = (name: TrustRole) => {
    const { threshold, keys } = root.roles[name];
    return [`${name}: ${threshold} of ${keys.size}`, ...[...keys.keys()].map((keyId) => `  ${keyId}`)];
  };
  return [
    `organization ${root.organization}, version ${root.version}, of ${new Date(root.issuedAtMs).toISOString()}`,
    ...trustRoles.flatMap(role),
    `authorities: ${root.authorities.length}`,
  ];
}
