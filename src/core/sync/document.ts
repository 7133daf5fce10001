import { canonicalJson } from '#core/journal/canonical-json.ts';
import type { JsonValue } from '#core/journal/record.ts';
import type { Shape } from '#core/shape.ts';

/**
 * Why a terminal does not believe a document: a closed set, in the order in which the questions are asked. The bytes
 * come before their meaning, and who signed before what is said.
 */
export const documentRefusals = [
  'oversize',
  'malformed',
  /** of a format that this program does not know: it is to be updated */
  'format-unknown',
  /** too few keys of the role have signed it */
  'signatures-insufficient',
  'other-organization',
  'other-terminal',
  /** a version, a change number or a time before what is known already */
  'older',
  /** says something else under a version that is known already */
  'contradicts-known',
  'expired',
  /** issued after the time of a clock that is known to be right */
  'issued-in-future',
  /** signed under a root of trust that this terminal does not have */
  'root-unknown',
  /** a version between this one and the known one is missing */
  'version-skipped',
] as const;
export type DocumentRefusal = (typeof documentRefusals)[number];

export type Checked<T> =
  | { readonly kind: 'accepted'; readonly value: T }
  | { readonly kind: 'refused'; readonly reason: DocumentRefusal };

export function accepted<T>(value: T): Checked<T> {
  return { kind: 'accepted', value };
}

export function refused(reason: DocumentRefusal): Extract<Checked<never>, { kind: 'refused' }> {
  return { kind: 'refused', reason };
}

/** A document as bytes: the same for equal values, so that they can be hashed and signed. */
export function documentBytes(value: JsonValue): Uint8Array {
  return new TextEncoder().encode(canonicalJson(value));
}

/** Says what a value is: a schema of zod, or for threads that do without it {@link shapedAs}. */
export interface DocumentSchema<T> {
  safeParse(
    value: unknown,
  ): { readonly success: true; readonly data: T } | { readonly success: false; readonly data?: undefined };
}

/** `T` has this shape. */
export function shapedAs<T>(shape: Shape): DocumentSchema<T> {
  return {
    safeParse: (value) =>
      shape(value).length === 0 ? { success: true, data: value as T } : { success: false },
  };
}

/**
 * Reads a document that must be exactly the bytes that `documentBytes` makes of it: no member unknown, none twice, none
 * in another order, so that no two readers understand one document differently.
 */
export function readDocument<T>(
  bytes: Uint8Array,
  kind: {
    readonly schema: DocumentSchema<T>;
    readonly format: number;
    readonly maximumBytes: number;
    /** true of one that nobody signs or hashes as a whole: it may be written in another way */
    readonly anyWriting?: boolean;
  },
): Checked<T> {
  if (bytes.length > kind.maximumBytes) return refused('oversize');
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    value = JSON.parse(text);
  } catch {
    return refused('malformed');
  }
  if (isLaterFormat(value, kind.format)) return refused('format-unknown');
  const parsed = kind.schema.safeParse(value);
  if (!parsed.success) return refused('malformed');
  if (!kind.anyWriting && canonicalJson(parsed.data as JsonValue) !== text) return refused('malformed');
  return accepted(parsed.data);
}

function isLaterFormat(value: unknown, known: number): boolean {
  if (typeof value !== 'object' || value === null || !('format' in value)) return false;
  return Number.isSafeInteger(value.format) && (value.format as number) > known;
}
