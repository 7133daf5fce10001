/** a remaining length has at most so many bytes (MQTT 3.1.1, 2.2.3) */
const mostLengthBytes = 4;

/**
 * Watches a stream of MQTT packets go by and tells at the first bytes of one that is larger than permitted, before
 * anybody gathers it in memory. It follows packet borders by their lengths alone.
 */
export class PacketSizes {
  readonly #limit: number;
  /** bytes of the present packet that are still to come */
  #left = 0;
  #lengthBytes = 0;
  #length = 0;

  /** `limit`: of the remaining length of one packet, in bytes */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** False once a packet is too large or its length is malformed; the stream is of no use from then on. */
  allow(chunk: Uint8Array): boolean {
    let at = 0;
    while (at < chunk.length) {
      if (this.#left > 0) {
        const skipped = Math.min(this.#left, chunk.length - at);
        this.#left -= skipped;
        at += skipped;
      } else {
        if (!this.#takeHeaderByte(chunk[at] ?? 0)) return false;
        at += 1;
      }
    }
    return true;
  }

  #takeHeaderByte(byte: number): boolean {
    // the first byte of a packet is its kind and flags
    if (this.#lengthBytes === 0) {
      this.#lengthBytes = 1;
      this.#length = 0;
      return true;
    }
    this.#length += (byte & 0x7f) * 128 ** (this.#lengthBytes - 1);
    if (this.#length > this.#limit) return false;
    if ((byte & 0x80) !== 0) {
      this.#lengthBytes += 1;
      return this.#lengthBytes <= mostLengthBytes;
    }
    this.#left = this.#length;
    this.#lengthBytes = 0;
    return true;
  }
}
