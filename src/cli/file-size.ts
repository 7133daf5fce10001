import { stat } from 'node:fs/promises';
import { Fault } from '#core/fault.ts';

/** Bytes of `file`. Throws Fault `file-unreadable`. */
export async function fileSize(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Fault('file-unreadable', `${file} cannot be read (${code})`, { cause: error });
  }
}
