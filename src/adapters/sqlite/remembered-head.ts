import { open, readFile, rename } from 'node:fs/promises';
import { z } from 'zod';
import type { JournalHead } from '#core/journal/record.ts';

const headSchema = z.strictObject({
  formatVersion: z.literal(1),
  terminal: z.string(),
  incarnation: z.string(),
  sequence: z.int().min(0),
  hash: z.string().regex(/^[0-9A-F]{64}$/),
});

/** The head this device last remembered in `file`, outside the database; undefined where there is none that can be read. */
export async function readRememberedHead(file: string): Promise<JournalHead | undefined> {
  try {
    const { formatVersion: _, ...head } = headSchema.parse(JSON.parse(await readFile(file, 'utf8')));
    return head;
  } catch {
    return undefined;
  }
}

/** Remembers `head` in `file`; the file is replaced as a whole, durably. */
export async function rememberHead(file: string, head: JournalHead): Promise<void> {
  const unfinished = `${file}.new`;
  const handle = await open(unfinished, 'w', 0o640);
  try {
    await handle.writeFile(`${JSON.stringify({ formatVersion: 1, ...head })}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(unfinished, file);
}
