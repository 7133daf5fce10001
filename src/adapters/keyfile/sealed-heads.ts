import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { replaceFile } from '#adapters/process/durable-file.ts';
import { Fault } from '#core/fault.ts';
import { unreadable } from '#core/file-fault.ts';
import type { JournalHead } from '#core/journal/record.ts';
import type { SealedHeads } from '#ports/sealed-heads.ts';

const schema = z.record(
  z.string(),
  z.strictObject({
    terminal: z.string(),
    incarnation: z.string(),
    sequence: z.int().min(1),
    hash: z.string().regex(/^[0-9A-F]{64}$/),
  }),
);

/** The heads in one file, for its owner alone. Rejects with `key-file-invalid` for a file that cannot be understood. */
export class SealedHeadsFile implements SealedHeads {
  readonly #file: string;
  #heads: Record<string, JournalHead> | undefined;

  constructor(file: string) {
    this.#file = file;
  }

  async last(journal: string): Promise<JournalHead | undefined> {
    this.#heads ??= await this.#read();
    return this.#heads[journal];
  }

  async keep(journal: string, head: JournalHead): Promise<void> {
    const { terminal, incarnation, sequence, hash } = head;
    const heads = {
      ...(this.#heads ?? (await this.#read())),
      [journal]: { terminal, incarnation, sequence, hash },
    };
    await replaceFile(this.#file, Buffer.from(`${JSON.stringify(heads, null, 2)}\n`));
    this.#heads = heads;
  }

  async #read(): Promise<Record<string, JournalHead>> {
    const text = await readFile(this.#file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '{}';
      throw unreadable(this.#file, error);
    });
    try {
      return schema.parse(JSON.parse(text));
    } catch (cause) {
      throw new Fault('key-file-invalid', `${this.#file} does not say what was signed last; restore it`, {
        cause,
      });
    }
  }
}
