import { gunzipSync, gzipSync } from 'node:zlib';
import { plainBytes } from '#core/bytes/bytes.ts';

/** Bytes made small (RFC 1952, whose CRC finds what the checksum of RFC 1950 does not). */
export function pack(bytes: Uint8Array): Uint8Array {
  return plainBytes(gzipSync(bytes));
}

/** What packed bytes say that they are unpacked (RFC 1952, 2.3.1: ISIZE); `unpack` makes no more of them. */
export function lengthUnpacked(packed: Uint8Array): number {
  if (packed.length < 4) return 0;
  return new DataView(packed.buffer, packed.byteOffset).getUint32(packed.length - 4, true);
}

/**
 * What `pack` made small; undefined for what it did not make, in whole and with nothing behind it, and for more than
 * `maximumBytes`, of which no more is ever unpacked.
 */
export function unpack(packed: Uint8Array, maximumBytes: number): Uint8Array | undefined {
  try {
    const { buffer, engine } = gunzipSync(packed, {
      maxOutputLength: Math.max(1, Math.min(maximumBytes, lengthUnpacked(packed))),
      info: true,
    }) as unknown as {
      readonly buffer: Uint8Array;
      readonly engine: { readonly bytesWritten: number };
    };
    return engine.bytesWritten === packed.length ? plainBytes(buffer) : undefined;
  } catch {
    return undefined;
  }
}
