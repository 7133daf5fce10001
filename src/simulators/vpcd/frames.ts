/** Longest message of the protocol: its length field has two bytes. */
export const maximumMessageLength = 0xffff;

/**
 * Cuts the byte stream from vpcd into messages (2-byte big-endian length, then that many bytes). TCP keeps no
 * message borders: one chunk may hold half a length field or several messages.
 */
export class MessageSplitter {
  #rest = new Uint8Array(0);

  /** Takes what arrived and returns every message that is now whole, each in a buffer of its own. */
  push(chunk: Uint8Array): Uint8Array[] {
    let data: Uint8Array = chunk;
    if (this.#rest.length > 0) {
      data = new Uint8Array(this.#rest.length + chunk.length);
      data.set(this.#rest);
      data.set(chunk, this.#rest.length);
    }
    const messages: Uint8Array[] = [];
    let offset = 0;
    while (data.length - offset >= 2) {
      const length = ((data[offset] ?? 0) << 8) | (data[offset + 1] ?? 0);
      if (data.length - offset - 2 < length) break;
      messages.push(data.slice(offset + 2, offset + 2 + length));
      offset += 2 + length;
    }
    this.#rest = data.slice(offset);
    return messages;
  }
}

/** A message with its length, in one buffer, so that one write sends it. */
export function frame(message: Uint8Array): Uint8Array {
  if (message.length > maximumMessageLength)
    throw new TypeError(`${message.length} bytes do not fit a message`);
  const framed = new Uint8Array(2 + message.length);
  framed[0] = message.length >> 8;
  framed[1] = message.length & 0xff;
  framed.set(message, 2);
  return framed;
}
