/** Byte strings are `Uint8Array` everywhere; hexadecimal is upper case without separators. */

const hexPattern = /^(?:[0-9a-fA-F]{2})*$/;
const hexPairs = Array.from({ length: 256 }, (_, byte) => byte.toString(16).toUpperCase().padStart(2, '0'));

/** Parses hexadecimal text; throws `TypeError` when `text` has an odd length or another character. */
export function fromHex(text: string): Uint8Array {
  if (!hexPattern.test(text)) throw new TypeError('not hexadecimal text');
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i += 1) bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

export function toHex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += hexPairs[byte];
  return text;
}

/** The memory of a `Buffer` as a plain `Uint8Array`, whose methods mean what they say. */
export function plainBytes({ buffer, byteOffset, length }: Uint8Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, length);
}

/** A copy with memory of its own, which `slice` of a `Buffer` is not. */
export function copyOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

/**
 * Gives back the memory of bytes that nobody reads any more, which the engine, left to itself, would do tens of megabytes
 * later. Bytes that share their memory with others keep it.
 */
export function release({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && byteLength > 0 && buffer.byteLength === byteLength) buffer.transfer(0);
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/** Compares two byte strings in time that depends on their lengths alone. */
export function equalConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i += 1) difference |= (a[i] ?? 0) ^ (b[i] ?? 0);
  return difference === 0;
}

export function xor(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length !== b.length) throw new TypeError(`xor of ${a.length} and ${b.length} bytes`);
  return a.map((byte, i) => byte ^ (b[i] ?? 0));
}

/** Adds `mask` to as many first bytes of `target`, in place. */
export function xorInto(target: Uint8Array, mask: Uint8Array): void {
  if (mask.length > target.length) throw new TypeError(`xor of ${mask.length} bytes into ${target.length}`);
  for (let i = 0; i < mask.length; i += 1) target[i] = (target[i] ?? 0) ^ (mask[i] ?? 0);
}

/** Adds one to a big-endian counter in place; behind its last value it begins again. */
export function increment(counter: Uint8Array): void {
  for (let i = counter.length - 1; i >= 0; i -= 1) {
    const next = ((counter[i] ?? 0) + 1) & 0xff;
    counter[i] = next;
    if (next !== 0) return;
  }
}
