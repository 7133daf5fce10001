import type { Command } from '#core/apdu/command.ts';
import { statusWords } from '#core/apdu/response.ts';
import { concat, fromHex, toHex } from '#core/bytes/bytes.ts';
import { buildTlv } from '#core/bytes/tlv.ts';
import { type CardAnswer, dataAnswer, statusAnswer, wrongExpected } from './card-answer.ts';
import type { FileDescription } from './card-description.ts';

const wrongFileStructure = 0x6981;

interface CardFile {
  readonly shortFileId: number;
  readonly fileId: string | undefined;
  readonly read: FileDescription['read'];
  readonly content: Uint8Array | undefined;
  readonly records: readonly Uint8Array[] | undefined;
}

/** File descriptor bytes (ISO 7816-4, 7.4.5): working elementary files, transparent or with records of any size. */
const fileDescriptor = { transparent: 0x01, records: 0x04 } as const;
const oneByteDataUnits = 0x01;
/** life cycle status (ISO 7816-4, 7.4.10) */
const operationalActivated = 0x05;

/**
 * What P2 of SELECT may ask for, by the tag of its template: file control information, file control parameters or
 * nothing (ISO 7816-4, 11.2.2).
 */
const templateTags: Readonly<Record<number, number | undefined>> = { 0: 0x6f, 4: 0x62, 12: undefined };

const twoBytes = (value: number): Uint8Array => Uint8Array.of(value >> 8, value & 0xff);

/** 80 size, 82 file descriptor, 83 file identifier, 88 short file identifier, 8A life cycle (ISO 7816-4, 7.4.3). */
function controlParameters({ content, records = [], fileId, shortFileId }: CardFile): Uint8Array {
  const size = content?.length ?? records.reduce((sum, { length }) => sum + length, 0);
  const longest = Math.max(0, ...records.map(({ length }) => length));
  const descriptor = content
    ? Uint8Array.of(fileDescriptor.transparent)
    : Uint8Array.of(fileDescriptor.records, oneByteDataUnits, ...twoBytes(longest), records.length);
  return concat(
    buildTlv(0x80, twoBytes(size)),
    buildTlv(0x82, descriptor),
    buildTlv(0x83, fromHex(fileId ?? '')),
    buildTlv(0x88, Uint8Array.of(shortFileId << 3)),
    buildTlv(0x8a, Uint8Array.of(operationalActivated)),
  );
}

function bytesOf({ text, hex }: NonNullable<FileDescription['content']>): Uint8Array {
  return hex === undefined ? new TextEncoder().encode(text) : fromHex(hex);
}

/** The elementary files of an application and which of them is current. */
export class CardFiles {
  readonly #files: readonly CardFile[];
  #current: CardFile | undefined;

  constructor(descriptions: readonly FileDescription[]) {
    this.#files = descriptions.map(({ shortFileId, fileId, read, content, records }) => ({
      shortFileId,
      fileId,
      read,
      content: content && bytesOf(content),
      records: records?.map(bytesOf),
    }));
  }

  deselect(): void {
    this.#current = undefined;
  }

  /** SELECT of a file under the application by its identifier, P1 00 or 02. */
  select({ p1, p2, data, expected }: Command): CardAnswer {
    if ((p1 !== 0x00 && p1 !== 0x02) || !(p2 in templateTags)) {
      return statusAnswer(statusWords.wrongParameters);
    }
    if (data?.length !== 2) return statusAnswer(statusWords.wrongLength);
    const fileId = toHex(data);
    const found = this.#files.find((file) => file.fileId === fileId);
    if (!found) return statusAnswer(statusWords.notFound);
    const tag = templateTags[p2];
    const wanted = tag !== undefined && expected !== undefined;
    const answer = wanted ? buildTlv(tag, controlParameters(found)) : undefined;
    if (answer && expected !== undefined && expected < answer.length) return wrongExpected(answer.length);
    this.#current = found;
    return answer ? dataAnswer(answer) : statusAnswer(statusWords.success);
  }

  /** READ BINARY; `allows` says whether a file's condition is met. Past the end it answers 6282 or 6B00. */
  readBinary({ p1, p2, expected }: Command, allows: (read: FileDescription['read']) => boolean): CardAnswer {
    if ((p1 & 0x80) !== 0 && (p1 & 0x60) !== 0) return statusAnswer(statusWords.wrongParameters);
    if (expected === undefined) return statusAnswer(statusWords.wrongLength);
    const byShortId = (p1 & 0x80) !== 0;
    const file = byShortId ? this.#byShortId(p1 & 0x1f) : this.#current;
    if (!file) return statusAnswer(byShortId ? statusWords.notFound : statusWords.noCurrentFile);
    this.#current = file;
    if (!file.content) return statusAnswer(wrongFileStructure);
    if (!allows(file.read)) return statusAnswer(statusWords.securityNotSatisfied);
    const offset = byShortId ? p2 : (p1 << 8) | p2;
    if (offset >= file.content.length) return statusAnswer(statusWords.beyondEnd);
    const data = file.content.slice(offset, offset + expected);
    const wantsAll = expected === 0x100 || expected === 0x10000;
    const status = data.length < expected && !wantsAll ? statusWords.endOfFile : statusWords.success;
    return { data, status };
  }

  /** READ RECORD by number; a Le too small is answered 6Cxx. */
  readRecord({ p1, p2, expected }: Command, allows: (read: FileDescription['read']) => boolean): CardAnswer {
    if ((p2 & 0x07) !== 0x04) return statusAnswer(statusWords.wrongParameters);
    if (expected === undefined) return statusAnswer(statusWords.wrongLength);
    const shortFileId = p2 >> 3;
    const file = shortFileId === 0 ? this.#current : this.#byShortId(shortFileId);
    if (!file) return statusAnswer(shortFileId === 0 ? statusWords.noCurrentFile : statusWords.notFound);
    this.#current = file;
    if (!file.records) return statusAnswer(wrongFileStructure);
    if (!allows(file.read)) return statusAnswer(statusWords.securityNotSatisfied);
    const record = file.records[p1 - 1];
    if (!record) return statusAnswer(statusWords.recordNotFound);
    return record.length > expected ? wrongExpected(record.length) : dataAnswer(record);
  }

  #byShortId(shortFileId: number): CardFile | undefined {
    return this.#files.find((file) => file.shortFileId === shortFileId);
  }
}
