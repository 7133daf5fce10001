import { Fault } from '#core/fault.ts';

/** A BER-TLV data object (ISO 7816-4 annex E): tag as a number, `raw` with tag and length, views of the input. */
export interface Tlv {
  readonly tag: number;
  readonly value: Uint8Array;
  readonly raw: Uint8Array;
}

function malformed(what: string): Fault {
  return new Fault('card-answer-malformed', `the card's answer is malformed: ${what}`);
}

function readTag(bytes: Uint8Array, start: number): { tag: number; next: number } {
  const first = bytes[start] ?? 0;
  if (first === 0x00 || first === 0xff) throw malformed('a data object without a tag');
  if ((first & 0x1f) !== 0x1f) return { tag: first, next: start + 1 };
  const second = bytes[start + 1];
  if (second === undefined || second >= 0x80) throw malformed('a tag of an unknown form');
  return { tag: (first << 8) | second, next: start + 2 };
}

function readLength(bytes: Uint8Array, start: number): { length: number; next: number } {
  const first = bytes[start];
  if (first === undefined) throw malformed('a data object without a length');
  if (first < 0x80) return { length: first, next: start + 1 };
  const count = first - 0x80;
  if (count < 1 || count > 2 || start + count >= bytes.length) throw malformed('a length of an unknown form');
  const high = bytes[start + 1] ?? 0;
  return { length: count === 1 ? high : (high << 8) | (bytes[start + 2] ?? 0), next: start + 1 + count };
}

/**
 * Whether 00 and FF may stand before, between and behind data objects, as in files, where objects are erased and
 * changed (ISO 7816-4, 5.2.2), or not, as in answers.
 */
export type TlvFilling = 'exact' | 'padded';

/** The tags of a path such as `6F/A5/C1`, outermost first. */
export function parseTagPath(path: string): number[] {
  return path.split('/').map((tag) => Number.parseInt(tag, 16));
}

function skipFiller(bytes: Uint8Array, start: number): number {
  let next = start;
  while (bytes[next] === 0x00 || bytes[next] === 0xff) next += 1;
  return next;
}

/**
 * Where the first data object of the outermost tag of a path ends in padded `bytes`, which may hold its beginning
 * alone; undefined while that cannot be told.
 */
export function tlvEnd(bytes: Uint8Array, [tag]: readonly number[]): number | undefined {
  try {
    for (let start = skipFiller(bytes, 0); start < bytes.length; ) {
      const { tag: found, next: lengthAt } = readTag(bytes, start);
      const { length, next: valueAt } = readLength(bytes, lengthAt);
      if (found === tag) return valueAt + length;
      start = skipFiller(bytes, valueAt + length);
    }
  } catch {
    // cut off within tag or length, or malformed, which parsing tells
  }
  return undefined;
}

/**
 * Parses data objects that fill `bytes`, one level deep, with tags of one or two bytes and lengths of up
 * to 65,535. Throws a Fault `card-answer-malformed`.
 */
export function parseTlv(bytes: Uint8Array, filling: TlvFilling = 'exact'): Tlv[] {
  const next = (at: number): number => (filling === 'padded' ? skipFiller(bytes, at) : at);
  const objects: Tlv[] = [];
  let start = next(0);
  while (start < bytes.length) {
    const { tag, next: lengthAt } = readTag(bytes, start);
    const { length, next: valueAt } = readLength(bytes, lengthAt);
    const end = valueAt + length;
    if (end > bytes.length) throw malformed('a data object longer than the answer');
    objects.push({ tag, value: bytes.subarray(valueAt, end), raw: bytes.subarray(start, end) });
    start = next(end);
  }
  return objects;
}

/**
 * The value at a path of tags, outermost first; undefined when a tag is absent.
 * Throws a Fault `card-answer-malformed` when a template on the way is malformed or holds the tag twice.
 */
export function findTlv(
  bytes: Uint8Array,
  path: readonly number[],
  filling: TlvFilling = 'exact',
): Uint8Array | undefined {
  let value = bytes;
  for (const tag of path) {
    const [found, ...others] = parseTlv(value, filling).filter((object) => object.tag === tag);
    if (!found) return undefined;
    if (others.length > 0) throw malformed('a data object that may occur once occurs twice');
    value = found.value;
  }
  return value;
}

/** Builds one data object, with the shortest form of its length; at most 65,535 bytes of value. */
export function buildTlv(tag: number, value: Uint8Array): Uint8Array {
  const length = value.length;
  if (length > 0xffff) throw new TypeError('a data object of more than 65,535 bytes');
  const head = tag > 0xff ? [tag >> 8, tag & 0xff] : [tag];
  if (length < 0x80) head.push(length);
  else if (length <= 0xff) head.push(0x81, length);
  else head.push(0x82, length >> 8, length & 0xff);
  const object = new Uint8Array(head.length + length);
  object.set(head);
  object.set(value, head.length);
  return object;
}
