import { z } from 'zod';
import { fromBase64, toBase64 } from '#core/bytes/base64.ts';
import { toHex } from '#core/bytes/bytes.ts';
import { type DevicePublicKey, parseDevicePublicKey } from '#core/crypto/device-signature.ts';
import { accepted, type Checked, documentBytes, readDocument, refused } from './document.ts';
import { base64, isSignedByRole, type RoleKeys, type SignedDocument } from './signed.ts';
import { terminalName } from './terminal-identity.ts';

/**
 * Whom the terminals of one organization believe, in which role:
 * `root` says who has the roles, `policy` who may do what, `command` tells terminals to act. One root follows another,
 * and each must be signed by enough root keys of the one before as well as of its own, so that whoever holds the old
 * keys knows of the new ones (The Update Framework, 5.3). It does not expire: a ceremony forgotten must not keep
 * revocations from the doors. A key that is lost or stolen is replaced by the next root.
 */
export interface TrustRoot {
  readonly organization: string;
  /** from 1, without gaps */
  readonly version: number;
  readonly issuedAtMs: number;
  readonly roles: { readonly [role in TrustRole]: RoleKeys };
  /** certificates (X.509, DER) of the authorities whose servers the terminal talks to */
  readonly authorities: readonly Uint8Array[];
}

export const trustRoles = ['root', 'policy', 'command'] as const;
export type TrustRole = (typeof trustRoles)[number];

/** Names of organizations and terminals: they are names in certificates and topics as well. */
export const partyId = terminalName;

const format = 1;
const maximumBytes = 262_144;
const roleSchema = z
  .strictObject({ threshold: z.int().min(1).max(16), keys: z.array(base64).min(1).max(16) })
  .refine(({ threshold, keys }) => threshold <= keys.length);
const schema = z.strictObject({
  type: z.literal('trust-root'),
  format: z.literal(format),
  organization: partyId,
  version: z.int().min(1),
  issuedAtMs: z.int().min(0),
  roles: z.strictObject({ root: roleSchema, policy: roleSchema, command: roleSchema }),
  authorities: z.array(base64).min(1).max(16),
});

/** What a root is made of: public keys as SubjectPublicKeyInfo (DER, P-256). */
export interface TrustRootContent extends Omit<TrustRoot, 'roles'> {
  readonly roles: {
    readonly [role in TrustRole]: { readonly threshold: number; readonly keys: readonly Uint8Array[] };
  };
}

/** The bytes to sign. */
export function trustRootBytes({ organization, version, issuedAtMs, roles, authorities }: TrustRootContent) {
  const of = ({ threshold, keys }: TrustRootContent['roles']['root']) => ({
    threshold,
    keys: keys.map(toBase64),
  });
  return documentBytes({
    type: 'trust-root',
    format,
    organization,
    version,
    issuedAtMs,
    roles: { root: of(roles.root), policy: of(roles.policy), command: of(roles.command) },
    authorities: authorities.map(toBase64),
  });
}

/** A root that is believed because of the way it came, as in an enrolment file: it need only be signed by its own keys. */
export function pinTrustRoot(document: SignedDocument): Checked<TrustRoot> {
  const read = readTrustRoot(document.raw);
  if (read.kind === 'refused') return read;
  return isSignedByRole(document, read.value.roles.root) ? read : refused('signatures-insufficient');
}

/** The root that follows `known`. */
export function nextTrustRoot(known: TrustRoot, document: SignedDocument): Checked<TrustRoot> {
  if (!isSignedByRole(document, known.roles.root)) return refused('signatures-insufficient');
  const read = pinTrustRoot(document);
  if (read.kind === 'refused') return read;
  const { organization, version } = read.value;
  if (organization !== known.organization) return refused('other-organization');
  if (version <= known.version) return refused('older');
  if (version > known.version + 1) return refused('version-skipped');
  return read;
}

/**
 * Goes from `known` through the roots that follow it, in their order, as far as they can be believed; those that are
 * known already are passed over.
 */
export function walkTrustRoots(
  known: TrustRoot,
  documents: readonly SignedDocument[],
): {
  readonly root: TrustRoot;
  readonly refusal?: Extract<Checked<TrustRoot>, { kind: 'refused' }>['reason'];
} {
  let root = known;
  for (const document of documents) {
    const next = nextTrustRoot(root, document);
    if (next.kind === 'accepted') root = next.value;
    else if (next.reason !== 'older') return { root, refusal: next.reason };
  }
  return { root };
}

/** What a root says, whoever has signed it: for whoever makes one. */
export function readTrustRoot(raw: Uint8Array): Checked<TrustRoot> {
  const read = readDocument(raw, { schema, format, maximumBytes });
  if (read.kind === 'refused') return read;
  const { organization, version, issuedAtMs, roles, authorities } = read.value;
  const seen = new Set<string>();
  const [root, policy, command] = [roles.root, roles.policy, roles.command].map((one) => readRole(one, seen));
  if (!root || !policy || !command) return refused('malformed');
  return accepted({
    organization,
    version,
    issuedAtMs,
    roles: { root, policy, command },
    authorities: authorities.map((text) => fromBase64(text) ?? new Uint8Array()),
  });
}

/** A key stands once, in one role: else one key could count as two, or what was signed in one role serve in another. */
function readRole(role: z.output<typeof roleSchema>, seen: Set<string>): RoleKeys | undefined {
  const keys = new Map<string, DevicePublicKey>();
  for (const text of role.keys) {
    const key = readKey(fromBase64(text));
    if (!key || seen.has(key.keyId)) return undefined;
    seen.add(key.keyId);
    keys.set(key.keyId, key);
  }
  return { threshold: role.threshold, keys };
}

/** P-256 with a named curve and a point that is not compressed (RFC 5480): of one key there is one such form, and one id. */
const plainForm = '3059301306072A8648CE3D020106082A8648CE3D03010703420004';

function readKey(spki: Uint8Array | undefined): DevicePublicKey | undefined {
  if (spki?.length !== 91 || !toHex(spki).startsWith(plainForm)) return undefined;
  return parseDevicePublicKey(spki);
}
