import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { isMissing, replaceFile } from '#adapters/process/durable-file.ts';
import { fromBase64, toBase64 } from '#core/bytes/base64.ts';
import { Fault } from '#core/fault.ts';
import { unreadable } from '#core/file-fault.ts';
import { base64 } from '#core/sync/signed.ts';
import type { TrustStore } from '#ports/trust-store.ts';

const schema = z.strictObject({ formatVersion: z.literal(1), roots: z.array(base64).min(1).max(64) });

/** The roots of trust in `file`, for the service alone; while there is none, the one that was pinned. */
export class TrustFile implements TrustStore {
  readonly #file: string;
  readonly #pinned: Uint8Array | undefined;

  /** `pinned`: the root that came with the enrolment */
  constructor(parts: { readonly file: string; readonly pinned?: Uint8Array | undefined }) {
    this.#file = parts.file;
    this.#pinned = parts.pinned;
  }

  async load(): Promise<readonly Uint8Array[]> {
    if (this.#pinned && (await isMissing(this.#file))) return [this.#pinned];
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
    const text = `${JSON.stringify({ formatVersion: 1, roots: roots.map(toBase64) })}\n`;
    try {
      await replaceFile(this.#file, Buffer.from(text));
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
