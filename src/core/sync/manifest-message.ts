import { z } from 'zod';
import { fromBase64, toBase64 } from '#core/bytes/base64.ts';
import { fromHex, toHex } from '#core/bytes/bytes.ts';
import { maximumBits } from './bucket.ts';
import { accepted, type Checked, documentBytes, readDocument, refused } from './document.ts';
import { base64, decodeSigned, encodeSigned, type SignedDocument, sha256Hex } from './signed.ts';

/**
 * A manifest as a terminal is sent it, with what has changed of late, so that a change of one holder is one message.
 * Nothing but the manifest is signed: an index that the changes complete must have the hash that it names, and a chunk
 * the hash of the index; a terminal for which they are too few fetches what is missing.
 */
export interface ManifestMessage {
  readonly manifest: SignedDocument;
  /** hashes of buckets changed of late */
  readonly changes: readonly BucketChange[];
  /** rules and buckets */
  readonly chunks: readonly Uint8Array[];
}

export interface BucketChange {
  readonly bucket: number;
  readonly hash: Uint8Array;
}

/** of the chunks that come with a manifest, together */
export const maximumInlineBytes = 65_536;
/** of a whole message */
export const maximumMessageBytes = 262_144;

const format = 1;
const mostChanges = 1_000;
const schema = z.strictObject({
  format: z.literal(format),
  manifest: base64,
  changes: z
    .array(
      z.strictObject({
        bucket: z
          .int()
          .min(0)
          .max(2 ** maximumBits - 1),
        hash: sha256Hex,
      }),
    )
    .max(mostChanges),
  chunks: z.array(base64).max(mostChanges),
});

export function encodeManifestMessage({ manifest, changes, chunks }: ManifestMessage): Uint8Array {
  return documentBytes({
    format,
    manifest: toBase64(encodeSigned(manifest)),
    changes: changes.map(({ bucket, hash }) => ({ bucket, hash: toHex(hash) })),
    chunks: chunks.map(toBase64),
  });
}

/** What was sent, not yet believed. */
export function decodeManifestMessage(bytes: Uint8Array): Checked<ManifestMessage> {
  const read = readDocument(bytes, { schema, format, maximumBytes: maximumMessageBytes });
  if (read.kind === 'refused') return read;
  const manifest = decodeSigned(fromBase64(read.value.manifest) ?? new Uint8Array());
  if (manifest.kind === 'refused') return manifest;
  const chunks = read.value.chunks.map((text) => fromBase64(text) ?? new Uint8Array());
  if (chunks.reduce((sum, { length }) => sum + length, 0) > maximumInlineBytes) return refused('oversize');
  const changes = read.value.changes.map(({ bucket, hash }) => ({ bucket, hash: fromHex(hash) }));
  return accepted({ manifest: manifest.value, changes, chunks });
}
