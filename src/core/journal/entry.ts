import { concat } from '#core/bytes/bytes.ts';
import { digest, sha256Text } from '#core/crypto/digest.ts';
import { finite, objectOf, optional, ordinal, recordOf, shapeOf, text } from '#core/shape.ts';
import { canonicalJson } from './canonical-json.ts';
import { type JournalPosition, type JournalRecord, type JsonValue, journalFormatVersion } from './record.ts';

/** `previous` of the first entry of an incarnation. */
export const noPrevious = '0'.repeat(64);

export const saltLength = 16;

/** how an incarnation is written, wherever others than the journal that made it are to believe it */
export const incarnationForm = /^[\x21-\x7e]{1,64}$/;

/** of one entry, in bytes: many times what any entry has */
export const maximumEntryBytes = 65_536;

/** A personal value beside the chain: erasing it together with its salt leaves a hash that says nothing. */
export interface PersonalValue {
  readonly field: string;
  readonly salt: Uint8Array;
  readonly value: string;
}

/** An entry as it is stored: `hash` is SHA-256 over exactly the bytes of `raw`. */
export interface StoredEntry {
  readonly raw: Uint8Array;
  readonly hash: Uint8Array;
  readonly personal: readonly PersonalValue[];
}

// each costs as much to make as an entry to read
const encoder = new TextEncoder();
const utf8 = new TextDecoder('utf-8', { fatal: true });

const hash = shapeOf((value) => typeof value === 'string' && /^[0-9A-F]{64}$/.test(value));

const entryShape = objectOf({
  format: ordinal,
  terminal: text,
  incarnation: text,
  sequence: ordinal,
  previous: hash,
  bootId: text,
  monotonicUs: finite,
  atMs: finite,
  clock: text,
  kind: text,
  tapId: optional(text),
  body: objectOf({}),
  personal: optional(recordOf(hash)),
});

/** An entry as its raw bytes tell it; kinds and members unknown to this version are kept. */
export interface JournalEntry extends JournalPosition {
  readonly format: number;
  /** hash of the entry before, upper-case hexadecimal */
  readonly previous: string;
  readonly bootId: string;
  readonly monotonicUs: number;
  readonly atMs: number;
  readonly clock: string;
  readonly kind: string;
  readonly tapId?: string;
  readonly body: { readonly [key: string]: JsonValue };
  /** salted hashes of the personal values, by their fields */
  readonly personal?: { readonly [field: string]: string };
  readonly [member: string]: unknown;
}

/**
 * Joins `record` to the chain: raw bytes are canonical JSON of the format version, the position, the hash of the
 * entry before (upper-case hexadecimal) and the record, with each personal value as its salted hash.
 * `nextSalt` yields 16 random bytes at each call.
 */
export function chainEntry(
  record: JournalRecord,
  position: JournalPosition,
  previous: string,
  nextSalt: () => Uint8Array,
): StoredEntry {
  const personal = Object.entries(record.personal ?? {}).map(([field, value]) => ({
    field,
    salt: nextSalt(),
    value,
  }));
  const hashes = Object.fromEntries(personal.map((kept) => [kept.field, personalHash(kept)]));
  const members: { [key: string]: JsonValue } = {
    format: journalFormatVersion,
    terminal: position.terminal,
    incarnation: position.incarnation,
    sequence: position.sequence,
    previous,
    bootId: record.bootId,
    monotonicUs: record.monotonicUs,
    atMs: record.atMs,
    clock: record.clock,
    kind: record.kind,
    body: record.body,
  };
  if (record.tapId !== undefined) members.tapId = record.tapId;
  if (personal.length > 0) members.personal = hashes;
  const raw = encoder.encode(canonicalJson(members));
  return { raw, hash: digest('sha-256', raw), personal };
}

/** Salted hash of a personal value, upper-case hexadecimal: SHA-256(salt || canonical JSON of [field, value]). */
export function personalHash({ field, salt, value }: PersonalValue): string {
  return sha256Text(concat(salt, encoder.encode(`[${JSON.stringify(field)},${JSON.stringify(value)}]`)));
}

/** What the raw bytes of an entry say; undefined when they are no entry of a known format, or too many. */
export function parseEntry(raw: Uint8Array): JournalEntry | undefined {
  if (raw.length > maximumEntryBytes) return undefined;
  try {
    const parsed = JSON.parse(utf8.decode(raw)) as JournalEntry;
    return entryShape(parsed).length === 0 && parsed.format <= journalFormatVersion ? parsed : undefined;
  } catch {
    return undefined;
  }
}
