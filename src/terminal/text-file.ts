import { readFile } from 'node:fs/promises';
import { Fault } from '#core/fault.ts';
import { unreadable } from '#core/file-fault.ts';

/** The text of a UTF-8 file, without its byte order mark. Throws a Fault `file-unreadable` that says why. */
export async function readTextFile(path: string): Promise<string> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new Fault('file-unreadable', `${path} is not UTF-8 text; save it as UTF-8`, { cause });
  }
}
