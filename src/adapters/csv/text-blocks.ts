import { open } from 'node:fs/promises';
import { Fault } from '#core/fault.ts';
import { unreadable } from '#core/file-fault.ts';

/** `windows-31j` is what Japanese office software writes as Shift_JIS. */
export const encodings = ['utf-8', 'windows-31j'] as const;
export type Encoding = (typeof encodings)[number];

/** Whole lines of a text file, and where bytes were not in its encoding. */
export interface TextBlock {
  readonly text: string;
  /** bytes read so far */
  readonly bytesRead: number;
  readonly faults: readonly { readonly line: number; readonly text: string }[];
}

interface ByteLines {
  /** ends with a line feed, except the last block */
  readonly bytes: Uint8Array;
  /** line number of its first line, from 1 */
  readonly line: number;
  readonly bytesRead: number;
}

const chunkBytes = 256 * 1024;
const longestLineBytes = 64 * 1024;
const lineFeed = 0x0a;

/**
 * The encoding of `file` by its content: UTF-8 where it has a byte order mark or all lines are valid, or where
 * more of its lines beyond ASCII are valid UTF-8 than not (then it is UTF-8 with a wrong byte in it, since Shift_JIS
 * is next to never valid UTF-8); else Windows-31J. Throws Fault `file-unreadable`.
 */
export async function detectEncoding(file: string): Promise<Encoding> {
  let valid = 0;
  let invalid = 0;
  for await (const { bytes, line } of byteLines(file)) {
    if (line === 1 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) return 'utf-8';
    const text = decode(bytes, 'utf-8');
    if (text !== undefined) {
      if (text.length !== bytes.length) valid += 1;
      continue;
    }
    for (const one of split(bytes)) {
      if (one.every((byte) => byte < 0x80)) continue;
      if (decode(one, 'utf-8') === undefined) invalid += 1;
      else valid += 1;
    }
  }
  return valid >= invalid ? 'utf-8' : 'windows-31j';
}

/** Reads and decodes `file` in blocks of whole lines; memory stays small. Throws Fault `file-unreadable`. */
export async function* textBlocks(file: string, encoding: Encoding): AsyncIterable<TextBlock> {
  for await (const { bytes, line, bytesRead } of byteLines(file)) {
    const text = decode(bytes, encoding);
    if (text !== undefined) yield { text, bytesRead, faults: [] };
    else yield { ...decodeByLine(bytes, line, encoding), bytesRead };
  }
}

async function* byteLines(file: string): AsyncIterable<ByteLines> {
  const handle = await open(file, 'r').catch((error: NodeJS.ErrnoException) => {
    throw unreadable(file, error);
  });
  try {
    let rest = new Uint8Array(0);
    let line = 1;
    let bytesRead = 0;
    for (;;) {
      const chunk = new Uint8Array(chunkBytes);
      const { bytesRead: length } = await handle.read(chunk, 0, chunkBytes);
      bytesRead += length;
      const bytes = new Uint8Array(rest.length + length);
      bytes.set(rest);
      bytes.set(chunk.subarray(0, length), rest.length);
      // 0x0A is never part of another character, neither in UTF-8 nor in Windows-31J
      const end = length === 0 ? bytes.length : bytes.lastIndexOf(lineFeed) + 1;
      rest = bytes.slice(end);
      if (rest.length > longestLineBytes) {
        throw new Fault(
          'file-unreadable',
          `${file} has a line of more than ${longestLineBytes} bytes; it is no list`,
        );
      }
      const block = bytes.subarray(0, end);
      if (block.length > 0) yield { bytes: block, line, bytesRead };
      line += lineFeeds(block);
      if (length === 0) return;
    }
  } finally {
    await handle.close();
  }
}

/** undefined where a byte is not in the encoding */
function decode(bytes: Uint8Array, encoding: Encoding): string | undefined {
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** Decodes a block that has a wrong byte: finds it in each line that has one, and keeps the other lines. */
function decodeByLine(
  bytes: Uint8Array,
  firstLine: number,
  encoding: Encoding,
): Omit<TextBlock, 'bytesRead'> {
  const faults: { line: number; text: string }[] = [];
  let text = '';
  let line = firstLine;
  for (const one of split(bytes)) {
    const decoded = decode(one, encoding);
    text += decoded ?? new TextDecoder(encoding).decode(one);
    if (decoded === undefined) {
      const { column, byte } = wrongByte(one, encoding);
      const shown = byte.toString(16).toUpperCase().padStart(2, '0');
      faults.push({
        line,
        text: `the byte ${shown} at character ${column} is not ${encoding}; save the file anew, or name its encoding`,
      });
    }
    line += 1;
  }
  return { text, faults };
}

/** Character position (from 1) and value of the first byte that does not belong to the encoding. */
function wrongByte(line: Uint8Array, encoding: Encoding): { column: number; byte: number } {
  let good = 0;
  let characters = 0;
  for (let end = 1; end <= line.length; end += 1) {
    const text = decode(line.subarray(good, end), encoding);
    if (text === undefined) {
      // longer than any character: the first byte begins none
      if (end - good >= 4) break;
    } else {
      characters += [...text].length;
      good = end;
    }
  }
  return { column: characters + 1, byte: line[good] ?? 0 };
}

function lineFeeds(bytes: Uint8Array): number {
  let count = 0;
  for (let at = bytes.indexOf(lineFeed); at !== -1; at = bytes.indexOf(lineFeed, at + 1)) count += 1;
  return count;
}

function* split(bytes: Uint8Array): Iterable<Uint8Array> {
  for (let start = 0; start < bytes.length; ) {
    const at = bytes.indexOf(lineFeed, start);
    const end = at === -1 ? bytes.length : at + 1;
    yield bytes.subarray(start, end);
    start = end;
  }
}
