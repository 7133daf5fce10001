import { equalConstantTime } from '#core/bytes/bytes.ts';
import type { PinFormat } from '#core/card/pin-format.ts';

/** Format 2: control nibble 2, length nibble, digits, F up to 16 nibbles (ISO 9564-1, 9.3.4; EMV Book 3, 6.5.12.2). */
const isoBlockLength = 8;
const isoControl = 0x20;
/** code of the digit 0; a digit's low nibble is its BCD form */
const asciiZero = 0x30;

/** Bytes of the block of a PIN with so many digits. */
function blockLength({ encoding, length }: PinFormat, digits: number): number {
  if (encoding === 'iso-9564-2') return isoBlockLength;
  return length ?? (encoding === 'bcd' ? Math.ceil(digits / 2) : digits);
}

/**
 * The data of VERIFY, and half of that of CHANGE REFERENCE DATA, for a PIN in ASCII digits that fits the format. The
 * caller zeroes it.
 */
export function pinBlock(format: PinFormat, digits: Uint8Array): Uint8Array {
  const { encoding, padding } = format;
  const filler = encoding === 'ascii' && padding !== 'none' ? Number.parseInt(padding, 16) : 0xff;
  const block = new Uint8Array(blockLength(format, digits.length)).fill(filler);
  if (encoding === 'ascii') {
    block.set(digits);
    return block;
  }
  const start = encoding === 'iso-9564-2' ? 1 : 0;
  if (start === 1) block[0] = isoControl | digits.length;
  digits.forEach((digit, index) => {
    const at = start + (index >> 1);
    const nibble = digit & 0x0f;
    block[at] = index % 2 === 0 ? (nibble << 4) | 0x0f : ((block[at] ?? 0) & 0xf0) | nibble;
  });
  return block;
}

/** The ASCII digits of a block as a card takes it in; undefined for one that is not of the format. */
export function digitsOfPinBlock(format: PinFormat, block: Uint8Array): Uint8Array | undefined {
  const { encoding } = format;
  const packed = encoding === 'iso-9564-2' ? block.subarray(1) : block;
  const codes =
    encoding === 'ascii'
      ? packed
      : Uint8Array.from(
          { length: 2 * packed.length },
          (_, index) => asciiZero | (((packed[index >> 1] ?? 0) >> (index % 2 === 0 ? 4 : 0)) & 0x0f),
        );
  const end = codes.findIndex((code) => code < asciiZero || code > asciiZero + 9);
  const digits = codes.slice(0, end < 0 ? codes.length : end);
  if (encoding === 'ascii' && digits.length > blockLength(format, digits.length)) return undefined;
  const rebuilt = pinBlock(format, digits);
  return equalConstantTime(rebuilt, block) ? digits : undefined;
}
