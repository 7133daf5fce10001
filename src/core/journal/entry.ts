import { z } from 'zod';
import { concat, toHex } from '#core/bytes/bytes.ts';
import { digest } from '#core/crypto/digest.ts';
import { canonicalJson } from './canonical-json.ts';
import { type JournalPosition, type JournalRecord, type JsonValue, journalFormatVersion } from './record.ts';

/** `previous` of the first entry of an incarnation. */
export const noPrevious = '0'.repeat(64);

export const saltLength = 16;

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

const hash = z.string().regex(/^[0-9A-F]{64}$/);

const entrySchema = z.looseObject({
  format: z.int().min(1),
  terminal: z.string(),
  incarnation: z.string(),
  sequence: z.int().min(1),
  previous: hash,
  bootId: z.string(),
  monotonicUs: z.number(),
  atMs: z.number(),
  clock: z.string(),
  kind: z.string(),
  tapId: z.string().optional(),
  // parsed from JSON text just before, so its members are JSON whatever they are
  body: z.custom<{ readonly [key: string]: JsonValue }>(isObject),
  personal: z.record(z.string(), hash).optional(),
});

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An entry as its raw bytes tell it; kinds and members unknown to this version are kept. */
export type JournalEntry = z.infer<typeof entrySchema>;

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
  const raw = new TextEncoder().encode(canonicalJson(members));
  return { raw, hash: digest('sha-256', raw), personal };
}

/** Salted hash of a personal value, upper-case hexadecimal: SHA-256(salt || canonical JSON of [field, value]). */
export function personalHash({ field, salt, value }: PersonalValue): string {
  return toHex(digest('sha-256', concat(salt, new TextEncoder().encode(canonicalJson([field, value])))));
}

/** What the raw bytes of an entry say; undefined when they are no entry of a known format. */
export function parseEntry(raw: Uint8Array): JournalEntry | undefined {
  try {
    const parsed = entrySchema.safeParse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(raw)));
    return parsed.success && parsed.data.format <= journalFormatVersion ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}
