import { fromHex } from '#core/bytes/bytes.ts';

/** Bytes of a trace, of which some were not recorded: those are 00 in `bytes`, and only `show` tells them apart. */
export class MaskedBytes {
  readonly bytes: Uint8Array;
  readonly #text: string;

  /** `text` is hexadecimal with `**` for bytes that were not recorded */
  constructor(text: string) {
    this.#text = text;
    this.bytes = fromHex(text.replaceAll('**', '00'));
  }

  /** `part`, a view of `bytes`, as it was recorded. */
  show(part: Uint8Array = this.bytes): string {
    const start = 2 * (part.byteOffset - this.bytes.byteOffset);
    return this.#text.slice(start, start + 2 * part.length);
  }

  /** Whether every byte of `part` was recorded. */
  whole(part: Uint8Array = this.bytes): boolean {
    return !this.show(part).includes('*');
  }
}
