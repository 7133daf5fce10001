import { z } from 'zod';
import { canonicalJson } from './canonical-json.ts';
import { type JournalHead, journalFormatVersion } from './record.ts';

const checkpointSchema = z.strictObject({
  /** tells these signed bytes from any other that the same key signs */
  type: z.literal('journal-checkpoint'),
  format: z.literal(journalFormatVersion),
  terminal: z.string(),
  incarnation: z.string(),
  sequence: z.int().min(1),
  hash: z.string().regex(/^[0-9A-F]{64}$/),
  utcMs: z.number(),
  keyId: z.string(),
});

/** A signed statement that the chain up to `sequence` ended in `hash` at `utcMs`. */
export type Checkpoint = z.infer<typeof checkpointSchema>;

/** A checkpoint as it is stored: `signature` (r || s) is over exactly the bytes of `raw`. */
export interface StoredCheckpoint {
  readonly raw: Uint8Array;
  readonly signature: Uint8Array;
}

/** The bytes to sign for the head of a chain; `utcMs` in milliseconds, `keyId` as the signing port gives it. */
export function checkpointBytes(head: JournalHead, utcMs: number, keyId: string): Uint8Array {
  const { terminal, incarnation, sequence, hash } = head;
  return new TextEncoder().encode(
    canonicalJson({
      type: 'journal-checkpoint',
      format: journalFormatVersion,
      terminal,
      incarnation,
      sequence,
      hash,
      utcMs,
      keyId,
    }),
  );
}

/** What the raw bytes of a checkpoint say; undefined when they are none of a known format. */
export function parseCheckpoint(raw: Uint8Array): Checkpoint | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(raw);
    return checkpointSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
