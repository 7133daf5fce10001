import type { GpioLevel } from './gpio-lines.ts';

// The character device of GPIO chips, version 2 (<linux/gpio.h>, Linux 5.10 and later): requests and structures are part
// of the kernel's interface to programs, equal on x64 and arm64, and never change.

/** number of an ioctl: direction (1 write, 2 read), size of its argument, type 0xB4 (<asm-generic/ioctl.h>) */
const request = (direction: number, size: number, number: number): number =>
  direction * 2 ** 30 + size * 2 ** 16 + 0xb4 * 2 ** 8 + number;
const read = 2;
const readWrite = 3;

const chipInfoBytes = 68;
const lineRequestBytes = 592;
const lineValuesBytes = 16;
/** struct gpio_v2_line_event */
export const lineEventBytes = 48;

export const gpioRequests = {
  chipInfo: request(read, chipInfoBytes, 0x01),
  line: request(readWrite, lineRequestBytes, 0x07),
  getValues: request(readWrite, lineValuesBytes, 0x0e),
  setValues: request(readWrite, lineValuesBytes, 0x0f),
} as const;

const flagInput = 1n << 2n;
const flagOutput = 1n << 3n;
const flagBothEdges = (1n << 4n) | (1n << 5n);
const attributeOutputValues = 2;
/** shown by gpioinfo as who holds the line */
const consumer = 'kazasu';
/** the one line of a request, in the bit masks of values */
const theLine = 1n;

/** An empty struct gpiochip_info for the kernel to fill. */
export function chipInfoBuffer(): Uint8Array {
  return new Uint8Array(chipInfoBytes);
}

/** What a struct gpiochip_info says; the kernel cuts a label after 31 bytes. */
export function readChipInfo(info: Uint8Array): { readonly label: string; readonly lines: number } {
  const label = info.subarray(32, 64);
  const end = label.indexOf(0);
  return {
    label: new TextDecoder().decode(label.subarray(0, end < 0 ? label.length : end)),
    lines: viewOf(info).getUint32(64, true),
  };
}

/** A struct gpio_v2_line_request: an output that begins at `level`, or without one an input that tells of both edges. */
export function lineRequest(offset: number, level?: GpioLevel): Uint8Array {
  const bytes = new Uint8Array(lineRequestBytes);
  const view = viewOf(bytes);
  view.setUint32(0, offset, true);
  new TextEncoder().encodeInto(consumer, bytes.subarray(256, 288));
  view.setBigUint64(288, level === undefined ? flagInput | flagBothEdges : flagOutput, true);
  if (level !== undefined) {
    view.setUint32(296, 1, true);
    view.setUint32(320, attributeOutputValues, true);
    view.setBigUint64(328, BigInt(level), true);
    view.setBigUint64(336, theLine, true);
  }
  view.setUint32(560, 1, true);
  return bytes;
}

/** The file descriptor of the line, which the kernel wrote into the request. */
export function requestedLine(bytes: Uint8Array): number {
  return viewOf(bytes).getInt32(588, true);
}

/** A struct gpio_v2_line_values, to set the line or to be filled. */
export function lineValues(level: GpioLevel = 0): Uint8Array {
  const bytes = new Uint8Array(lineValuesBytes);
  const view = viewOf(bytes);
  view.setBigUint64(0, BigInt(level), true);
  view.setBigUint64(8, theLine, true);
  return bytes;
}

export function readLineValue(values: Uint8Array): GpioLevel {
  return (viewOf(values).getBigUint64(0, true) & theLine) === theLine ? 1 : 0;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
