import { concat } from '#core/bytes/bytes.ts';

export const derSequence = 0x30;

/** One value in DER (X.690): tag, length, contents; up to 65,535 bytes. */
export function der(tag: number, contents: Uint8Array, ...more: readonly Uint8Array[]): Uint8Array {
  const value = concat(contents, ...more);
  const { length } = value;
  if (length < 0x80) return concat(Uint8Array.of(tag, length), value);
  const lengthBytes = length > 0xff ? [0x82, length >> 8, length & 0xff] : [0x81, length];
  return concat(Uint8Array.of(tag, ...lengthBytes), value);
}

/** A value of the context's own tag `number`, made of others. */
export const derConstructed = (number: number, contents: Uint8Array): Uint8Array =>
  der(0xa0 | number, contents);
/** A value of the context's own tag `number`, in place of its usual one. */
export const derPrimitive = (number: number, contents: Uint8Array): Uint8Array =>
  der(0x80 | number, contents);

/** A whole number from 0 up. */
export function derInteger(value: number): Uint8Array {
  const hex = value.toString(16);
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  // a first bit that is set would mean a negative number
  return der(0x02, (bytes[0] ?? 0) < 0x80 ? bytes : concat(Uint8Array.of(0), bytes));
}
