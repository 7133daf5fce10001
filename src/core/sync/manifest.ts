import { z } from 'zod';
import { maximumBits } from './bucket.ts';
import { accepted, type Checked, documentBytes, readDocument, refused } from './document.ts';
import { isSignedByRole, type SignedDocument, sha256Hex } from './signed.ts';
import { partyId, type TrustRoot } from './trust.ts';

const format = 1;
const maximumBytes = 4_096;
/** how far an issuer's clock may be ahead of one that is known to be right, in milliseconds */
const clocksDifferMs = 3_600_000;
const schema = z.strictObject({
  type: z.literal('policy-manifest'),
  format: z.literal(format),
  organization: partyId,
  terminal: partyId,
  /** of what this terminal is to know: one content a version */
  version: z.int().min(1),
  /** every change of the organization up to this number is in */
  changeNumber: z.int().min(0),
  /** when the issuer last said so, milliseconds UTC; said again though nothing changes */
  issuedAtMs: z.int().min(0),
  /** not to be installed from then on */
  expiresAtMs: z.int().min(0),
  rulesHash: sha256Hex,
  holdersRoot: sha256Hex,
  bits: z.int().min(0).max(maximumBits),
  holders: z.int().min(0),
  /** version of the root whose keys sign this */
  rootVersion: z.int().min(1),
});

/** What one terminal is to know, as hashes: the rules, and the index of the buckets of holders. */
export type Manifest = Readonly<z.output<typeof schema>>;

/** The bytes to sign. */
export function manifestBytes(content: Omit<Manifest, 'type' | 'format'>): Uint8Array {
  return documentBytes({ ...content, type: 'policy-manifest', format });
}

/** Who asks, and what they know already. */
export interface ManifestReader {
  readonly root: TrustRoot;
  readonly terminal: string;
  /** milliseconds UTC, never earlier than the time known to have passed */
  readonly nowMs: number;
  readonly clock: 'trusted' | 'untrusted';
  /** the manifest installed or being installed */
  readonly known?: Manifest | undefined;
}

/**
 * Whether a terminal believes a manifest and may go by it: signed in the role `policy`, for this terminal, not expired,
 * and in no respect behind what is known under the same root (roll-back and freeze of The Update Framework).
 */
export function checkManifest(document: SignedDocument, reader: ManifestReader): Checked<Manifest> {
  const read = readSignedManifest(document, reader);
  if (read.kind === 'refused') return read;
  const manifest = read.value;
  const { known, nowMs, clock } = reader;
  if (known && isBehind(manifest, known, reader)) return refused('older');
  if (known && contradicts(manifest, known)) return refused('contradicts-known');
  if (nowMs >= manifest.expiresAtMs) return refused('expired');
  if (clock === 'trusted' && manifest.issuedAtMs > nowMs + clocksDifferMs) return refused('issued-in-future');
  return read;
}

function isBehind(manifest: Manifest, known: Manifest, { nowMs, clock }: ManifestReader): boolean {
  if (manifest.rootVersion !== known.rootVersion) return manifest.rootVersion < known.rootVersion;
  if (manifest.version < known.version || manifest.changeNumber < known.changeNumber) return true;
  // a server whose clock was wrong once must not have said its last word until then
  const wasWrong = clock === 'trusted' && known.issuedAtMs > nowMs + clocksDifferMs;
  return manifest.issuedAtMs < known.issuedAtMs && !wasWrong;
}

function contradicts(manifest: Manifest, known: Manifest): boolean {
  const same = manifest.rootVersion === known.rootVersion && manifest.version === known.version;
  return same && !hasSameContent(manifest, known);
}

/** What a manifest that was believed once says; whether it is the newest, and expired, is not asked again. */
export function readSignedManifest(
  document: SignedDocument,
  { root, terminal }: Pick<ManifestReader, 'root' | 'terminal'>,
): Checked<Manifest> {
  if (document.raw.length > maximumBytes) return refused('oversize');
  if (!isSignedByRole(document, root.roles.policy)) return refused('signatures-insufficient');
  const read = readDocument(document.raw, { schema, format, maximumBytes });
  if (read.kind === 'refused') return read;
  if (read.value.organization !== root.organization) return refused('other-organization');
  if (read.value.terminal !== terminal) return refused('other-terminal');
  if (read.value.rootVersion > root.version) return refused('root-unknown');
  return accepted(read.value);
}

/** Whether nothing is to be fetched or changed from one to the other but the times. */
export function hasSameContent(a: Manifest, b: Manifest): boolean {
  return (['rulesHash', 'holdersRoot', 'bits', 'holders'] as const).every((name) => a[name] === b[name]);
}
