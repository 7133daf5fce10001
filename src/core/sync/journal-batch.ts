import { z } from 'zod';
import { fromBase64 } from '#core/bytes/base64.ts';
import { fromHex } from '#core/bytes/bytes.ts';
import { unpack } from '#core/compression/packing.ts';
import type { StoredCheckpoint } from '#core/journal/checkpoint.ts';
import { incarnationForm, type PersonalValue, saltLength } from '#core/journal/entry.ts';
import { accepted, type Checked, readDocument, refused } from './document.ts';
import {
  batchFormat,
  longestPersonalValue,
  maximumUnpackedBytes,
  mostBatchEntries,
  mostPersonalValues,
  personalField,
  textOf,
} from './journal-batch-writing.ts';
import { base64, sha256Hex } from './signed.ts';
import { organizationName, type TerminalIdentity, terminalName } from './terminal-identity.ts';
import { maxPayloadBytes } from './topics.ts';

/** An entry of a journal by its number in an incarnation; 0 is before the first. */
export const chainPositionSchema = z.strictObject({
  incarnation: z.string().regex(incarnationForm),
  sequence: z.int().min(0),
  /** upper-case hexadecimal */
  hash: sha256Hex,
});
export type ChainPosition = z.output<typeof chainPositionSchema>;

/** The last entry of an incarnation that another one of the same journal follows. */
const endedChainSchema = chainPositionSchema.extend({
  sequence: z.int().min(1),
  /** the first that the terminal still has of it; the one behind the last where it has none */
  oldestKept: z.int().min(1),
});
export type EndedChain = z.output<typeof endedChainSchema>;

/** An entry as it is stored, but for its hash, which is that of its bytes. */
export interface BatchEntry {
  readonly raw: Uint8Array;
  /** values that are not erased */
  readonly personal: readonly PersonalValue[];
}

/** Entries of one incarnation in their order, as a terminal tells them to the server. */
export interface JournalBatch extends TerminalIdentity {
  readonly incarnation: string;
  /** of the first entry, or of the next one where there is none */
  readonly first: number;
  /** the first that the terminal still has of this incarnation */
  readonly oldestKept: number;
  /** the end of the incarnation before in this journal, where this batch begins one */
  readonly after: EndedChain | null;
  readonly entries: readonly BatchEntry[];
  /** of entries in this batch or before it, since each is signed some time after its entry is written */
  readonly checkpoints: readonly StoredCheckpoint[];
}

/** Text that goes through UTF-8 and comes back as it was. */
const wellFormed = z.string().refine((text) => text.isWellFormed());
const personal = z
  .array(
    z.strictObject({
      field: z.string().regex(personalField),
      salt: z
        .string()
        .regex(/^[0-9A-F]*$/)
        .length(2 * saltLength),
      value: z.string().max(longestPersonalValue),
    }),
  )
  .max(mostPersonalValues);
/** `text`: the bytes are UTF-8, as those of every entry that is not damaged */
const entry = z.union([
  z.strictObject({ text: wellFormed, personal }),
  z.strictObject({ bytes: base64.refine((written) => textOf(bytesOf(written)) === undefined), personal }),
]);
const schema = z
  .strictObject({
    type: z.literal('journal-batch'),
    format: z.literal(batchFormat),
    organization: organizationName,
    terminal: terminalName,
    incarnation: chainPositionSchema.shape.incarnation,
    first: z.int().min(1),
    oldestKept: z.int().min(1),
    after: endedChainSchema.refine(({ sequence, oldestKept }) => oldestKept <= sequence + 1).nullable(),
    entries: z.array(entry).max(mostBatchEntries),
    checkpoints: z
      .array(z.strictObject({ raw: base64, signature: z.string().regex(/^[0-9A-F]{128}$/) }))
      .max(mostBatchEntries),
  })
  .refine(({ first, oldestKept, after }) => oldestKept <= first && (after === null || first === 1));

/** What a terminal sent, which `from` is by its certificate. Whether the entries follow each other is not yet asked. */
export function decodeJournalBatch(payload: Uint8Array, from: TerminalIdentity): Checked<JournalBatch> {
  if (payload.length > maxPayloadBytes) return refused('oversize');
  const bytes = unpack(payload, maximumUnpackedBytes);
  if (!bytes) return refused('malformed');
  const read = readDocument(bytes, {
    schema,
    format: batchFormat,
    maximumBytes: maximumUnpackedBytes,
    anyWriting: true,
  });
  if (read.kind === 'refused') return read;
  const { organization, terminal, incarnation, first, oldestKept, after } = read.value;
  if (organization !== from.organization) return refused('other-organization');
  if (terminal !== from.terminal) return refused('other-terminal');
  const entries = read.value.entries.map(readEntry);
  const checkpoints = read.value.checkpoints.map(({ raw, signature }) => ({
    raw: bytesOf(raw),
    signature: fromHex(signature),
  }));
  return accepted({ organization, terminal, incarnation, first, oldestKept, after, entries, checkpoints });
}

const encoder = new TextEncoder();

function readEntry(written: z.output<typeof entry>): BatchEntry {
  const values = written.personal.map(({ field, salt, value }) => ({ field, salt: fromHex(salt), value }));
  const raw = 'text' in written ? encoder.encode(written.text) : bytesOf(written.bytes);
  return { raw, personal: values };
}

function bytesOf(written: string): Uint8Array {
  return fromBase64(written) ?? new Uint8Array();
}
