import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { fromBase64, toBase64 } from '#core/bytes/base64.ts';
import { Fault } from '#core/fault.ts';
import { unreadable } from '#core/file-fault.ts';
import { base64 } from '#core/sync/signed.ts';
import type { TrustStore } from '#ports/trust-store.ts';

const schema = z.strictObject({ formatVersion: z.literal(1), roots: z.array(base64).min(1).max(64) });

/** The roots of trust in `file`, which the service alone may write. */
export class TrustFile implements TrustStore {
  readonly #file: string;

  constructor(parts: { readonly file: string }) {
    this.#file = parts.file;
  }

  async load(): Promise<readonly Uint8Array[]> {
    let text: string;
    try {
      text = await readFile(this.#file, 'utf8');
    } catch (error) {
      throw unreadable(this.#file, error);
    }
    const roots = parsed(text)?.roots.map((root) => fromBase64(root) ?? new Uint8Array());
    if (!roots)
      throw new Fault('policy-altered', `${this.#file} has no roots of trust; enrol this device anew`);
    return roots;
  }

  async save(roots: readonly Uint8Array[]): Promise<void> {
    const unfinished = `${this.#file}.new`;
    try {
      const handle = await open(unfinished, 'w', 0o600);
      try {
        await handle.writeFile(`${JSON.stringify({ formatVersion: 1, roots: roots.map(toBase64) })}\n`);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(unfinished, this.#file);
      await syncFolder(dirname(this.#file));
    } catch (cause) {
      throw new Fault('policy-unwritable', `${this.#file} cannot be written`, { cause });
    }
  }
}

function parsed(text: string): z.output<typeof schema> | undefined {
  try {
    return schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** A name is durable once its folder is. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
