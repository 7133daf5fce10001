import { createReadStream, existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { Fault } from '#core/fault.ts';
import { itemOfLine, parseExportLine } from '#core/journal/export.ts';
import type { JournalHead } from '#core/journal/record.ts';
import type { JournalItem } from '#core/journal/verify.ts';
import type { OutsideHead } from '#core/journal/verify-chain.ts';
import { readTextFile } from '#terminal/text-file.ts';
import { fileSize } from './file-size.ts';

const headSchema = z.looseObject({
  incarnation: z.string().optional(),
  sequence: z.int().min(0),
  hash: z.string().regex(/^[0-9A-Fa-f]{64}$/),
});

/** `12:ABC…`, or a file with the JSON of `journal head --json` or the head a device remembers. Throws Faults. */
export async function readOutsideHead(text: string): Promise<OutsideHead> {
  const short = /^(\d{1,15}):([0-9A-Fa-f]{64})$/.exec(text);
  if (short) return { sequence: Number(short[1]), hash: (short[2] ?? '').toUpperCase() };
  const parsed = existsSync(text) ? headSchema.safeParse(await readJson(text)).data : undefined;
  if (!parsed) throw new Fault('argument-invalid', `${text} is neither SEQUENCE:HASH nor a file with a head`);
  const { incarnation, sequence, hash } = parsed;
  return { sequence, hash: hash.toUpperCase(), ...(incarnation === undefined ? {} : { incarnation }) };
}

async function readJson(file: string): Promise<unknown> {
  const text = await readTextFile(file);
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** An export file as verification takes it; `head` and `personal` are known once all items are taken. */
export class ExportFile {
  readonly #file: string;
  #personal = false;
  #end: { readonly entries: number; readonly head: JournalHead | null } | undefined;

  constructor(file: string) {
    this.#file = file;
  }

  /** Reads the first line; whether personal values are in the file. Throws Fault `file-unreadable` where it is no export. */
  async open(): Promise<boolean> {
    await fileSize(this.#file);
    for await (const line of this.#lines()) {
      const header = parseExportLine(line);
      if (header?.type !== 'journal-export') break;
      this.#personal = header.personal;
      return this.#personal;
    }
    throw new Fault('file-unreadable', `${this.#file} is no journal export of a version this program knows`);
  }

  async *items(): AsyncIterable<JournalItem> {
    let number = 0;
    for await (const text of this.#lines()) {
      number += 1;
      const line = parseExportLine(text);
      if (!line) throw new Fault('file-unreadable', `${this.#file}:${number}: no line of a journal export`);
      if (line.type === 'head') this.#end = line;
      const item = itemOfLine(line);
      if (item) yield item;
    }
  }

  /** The last line; undefined when the file was cut off before it. */
  end(): { readonly entries: number; readonly head: JournalHead | null } | undefined {
    return this.#end;
  }

  #lines(): AsyncIterable<string> {
    return createInterface({ input: createReadStream(this.#file), crlfDelay: Number.POSITIVE_INFINITY });
  }
}
