import { z } from 'zod';
import { fromBase64, toBase64 } from '#core/bytes/base64.ts';
import { fromHex, toHex } from '#core/bytes/bytes.ts';
import { type DevicePublicKey, isSignedBy } from '#core/crypto/device-signature.ts';
import { accepted, type Checked, documentBytes, readDocument } from './document.ts';

/** A document and who signed it: every signature (ECDSA P-256 with SHA-256, r || s) is over exactly the bytes of `raw`. */
export interface SignedDocument {
  readonly raw: Uint8Array;
  readonly signatures: readonly DocumentSignature[];
}

interface DocumentSignature {
  /** SHA-256 of the public key's SubjectPublicKeyInfo, upper-case hexadecimal */
  readonly keyId: string;
  readonly signature: Uint8Array;
}

/** The keys that may speak in one role, and how many of them must. */
export interface RoleKeys {
  readonly threshold: number;
  /** different keys, by their id */
  readonly keys: ReadonlyMap<string, DevicePublicKey>;
}

/** What signs: a key that stays where it is. */
export interface Signer {
  keyId(): string;
  sign(message: Uint8Array): Promise<Uint8Array>;
}

/** SHA-256, upper-case hexadecimal */
export const sha256Hex = z.string().regex(/^[0-9A-F]{64}$/);
/** RFC 4648, padded, and written in the one way there is */
export const base64 = z
  .string()
  .regex(/^[A-Za-z0-9+/]*={0,2}$/)
  .refine((text) => toBase64(fromBase64(text) ?? new Uint8Array(1)) === text);

const format = 1;
const mostSignatures = 32;
/** of the signed bytes; documents of one kind may be held to less */
const maximumRawBytes = 1_048_576;
const envelope = z.strictObject({
  format: z.literal(format),
  payload: base64,
  signatures: z
    .array(z.strictObject({ keyId: sha256Hex, signature: z.string().regex(/^[0-9A-F]{128}$/) }))
    .max(mostSignatures),
});

/** Signs a document once with each of `signers`. */
export async function signDocument(raw: Uint8Array, signers: readonly Signer[]): Promise<SignedDocument> {
  const signatures = await Promise.all(
    signers.map(async (signer) => ({ keyId: signer.keyId(), signature: await signer.sign(raw) })),
  );
  return { raw, signatures };
}

/** The bytes in which a signed document is sent and stored. */
export function encodeSigned({ raw, signatures }: SignedDocument): Uint8Array {
  return documentBytes({
    format,
    payload: toBase64(raw),
    signatures: signatures.map(({ keyId, signature }) => ({ keyId, signature: toHex(signature) })),
  });
}

/** What was sent, not yet believed. */
export function decodeSigned(bytes: Uint8Array): Checked<SignedDocument> {
  const maximumBytes = Math.ceil(maximumRawBytes / 3) * 4 + 256 * (mostSignatures + 1);
  const read = readDocument(bytes, { schema: envelope, format, maximumBytes });
  if (read.kind === 'refused') return read;
  const { payload, signatures } = read.value;
  return accepted({
    raw: fromBase64(payload) ?? new Uint8Array(),
    signatures: signatures.map(({ keyId, signature }) => ({ keyId, signature: fromHex(signature) })),
  });
}

/** Whether as many different keys of the role as it takes have signed; a signature that is wrong counts for nothing. */
export function isSignedByRole({ raw, signatures }: SignedDocument, { threshold, keys }: RoleKeys): boolean {
  const signed = new Set<string>();
  for (const { keyId, signature } of signatures.slice(0, mostSignatures)) {
    const key = keys.get(keyId);
    if (key && !signed.has(keyId) && isSignedBy(key, raw, signature)) signed.add(keyId);
  }
  return threshold >= 1 && signed.size >= threshold;
}
