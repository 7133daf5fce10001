import { gunzipSync, gzipSync } from 'node:zlib';
import { plainBytes } from '#core/bytes/bytes.ts';

/** Bytes made small (RFC 1952, whose CRC finds what the checksum of RFC 1950 does not). */
export function pack(bytes: Uint8Array): Uint8Array {
  return plainBytes(gzipSync(bytes));
}

/**
 * What `pack` made small; undefined for what it did not make, in whole and with nothing behind it, and for more than
 * `maximumBytes`, of which no more is ever unpacked.
 */
export function unpack(packed: Uint8Array, maximumBytes: number): Uint8Array | undefined {
  try {
    const { buffer, engine } = gunzipSync(packed, {
      maxOutputLength: maximumBytes,
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
