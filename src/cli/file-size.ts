import { stat } from 'node:fs/promises';
import { unreadable } from '#core/file-fault.ts';

/** Bytes of `file`. Throws Fault `file-unreadable`, also for a folder. */
export async function fileSize(file: string): Promise<number> {
  const found = await stat(file).catch((error: unknown) => {
    throw unreadable(file, error);
  });
  if (found.isDirectory()) throw unreadable(file, { code: 'EISDIR' });
  return found.size;
}
