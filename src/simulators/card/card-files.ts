import type { Command } from '#core/apdu/command.ts';
import { statusWords } from '#core/apdu/response.ts';
import { fromHex, toHex } from '#core/bytes/bytes.ts';
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

  /** SELECT of a file under the application, `00 A4 02 0C 02 fid`. */
  select({ p2, data }: Command): CardAnswer {
    if (p2 !== 0x0c) return statusAnswer(statusWords.wrongParameters);
    if (data?.length !== 2) return statusAnswer(statusWords.wrongLength);
    const fileId = toHex(data);
    const found = this.#files.find((file) => file.fileId === fileId);
    if (!found) return statusAnswer(statusWords.notFound);
    this.#current = found;
    return statusAnswer(statusWords.success);
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
    const status = data.length < expected && expected < 256 ? statusWords.endOfFile : statusWords.success;
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
