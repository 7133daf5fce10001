import { toBase64 } from '#core/bytes/base64.ts';
import { toHex } from '#core/bytes/bytes.ts';
import { pack } from '#core/compression/packing.ts';
import { type PersonalValue, saltLength } from '#core/journal/entry.ts';
import type { JsonValue } from '#core/journal/record.ts';
import { documentBytes } from './document.ts';
import type { BatchEntry, JournalBatch } from './journal-batch.ts';

/** How batches are written; the thread that does loads nothing that reads them. */

export const batchFormat = 1;
/** of one batch */
export const mostBatchEntries = 1_000;
/** of one entry */
export const mostPersonalValues = 16;
export const personalField = /^[A-Za-z][A-Za-z0-9-]{0,63}$/;
/** in UTF-16 units: what a database can look for */
export const longestPersonalValue = 256;
/** of a batch unpacked; who sends more unpacks nothing here */
export const maximumUnpackedBytes = 4_194_304;

/**
 * The bytes in which a batch is sent. They may be more than `maxPayloadBytes`: the sender then takes fewer entries.
 *
 * @throws TypeError for more than anybody would unpack
 */
export function encodeJournalBatch(batch: JournalBatch): Uint8Array {
  const { organization, terminal, incarnation, first, oldestKept, after } = batch;
  const bytes = documentBytes({
    type: 'journal-batch',
    format: batchFormat,
    organization,
    terminal,
    incarnation,
    first,
    oldestKept,
    after: after && { ...after },
    entries: batch.entries.map(writtenEntry),
    checkpoints: batch.checkpoints.map(({ raw, signature }) => ({
      raw: toBase64(raw),
      signature: toHex(signature),
    })),
  });
  if (bytes.length > maximumUnpackedBytes) throw new TypeError('a batch too large');
  return pack(bytes);
}

function writtenEntry({ raw, personal: values }: BatchEntry): JsonValue {
  const written = values.map(({ field, salt, value }) => ({ field, salt: toHex(salt), value }));
  const text = textOf(raw);
  return text === undefined ? { bytes: toBase64(raw), personal: written } : { text, personal: written };
}

/** What of an entry's values can be read at the other side: whatever a disk made of the rest, its hash goes. */
export function sendable(values: readonly PersonalValue[]): readonly PersonalValue[] {
  return values
    .filter(
      ({ field, salt, value }) =>
        personalField.test(field) && salt.length === saltLength && value.length <= longestPersonalValue,
    )
    .slice(0, mostPersonalValues);
}

/** undefined for what is no UTF-8 */
export function textOf(raw: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(raw);
  } catch {
    return undefined;
  }
}
