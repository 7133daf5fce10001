import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceSharedFile } from '#adapters/process/durable-file.ts';
import { makeSharedFolder } from '#adapters/process/ownership.ts';

/**
 * The folder that a broker beside this process reads. Each file is put in place whole, and only where it changes, so that
 * whoever watches the folder tells the broker of changes alone.
 */
export class BrokerFolder {
  readonly #directory: string;

  constructor(parts: { readonly directory: string }) {
    this.#directory = parts.directory;
  }

  at(name: string): string {
    return join(this.#directory, name);
  }

  /** Resolves with whether anything changed. Rejects with faults of files. */
  async write(files: Readonly<Record<string, string>>): Promise<boolean> {
    makeSharedFolder(this.#directory);
    let changed = false;
    for (const [name, text] of Object.entries(files)) {
      const known = await readFile(this.at(name), 'utf8').catch(() => undefined);
      if (known === text) continue;
      await replaceSharedFile(this.at(name), Buffer.from(text));
      changed = true;
    }
    return changed;
  }
}
