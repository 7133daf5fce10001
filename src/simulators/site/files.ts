import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Fault } from '#core/fault.ts';

/** Absolute path of a file that ships with the program, from this folder. */
export function shipped(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url));
}

/** Rejects with a Fault `file-unreadable`. */
export async function readTextFile(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((cause: unknown) => {
    throw new Fault('file-unreadable', `${path} cannot be read`, { cause });
  });
}
