import { open } from 'node:fs/promises';
import { Fault } from '#core/fault.ts';
import { unreadable } from '#core/file-fault.ts';

/**
 * The bytes of a file that its owner alone may read; the mode is checked on the very file that is read. The caller
 * zeroes them. Rejects with a Fault `file-unreadable`, or `key-file-invalid` for a file that others reach.
 */
export async function readSecretFile(path: string): Promise<Uint8Array> {
  const file = await open(path, 'r').catch((error: unknown) => {
    throw unreadable(path, error);
  });
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw new Fault('key-file-invalid', `${path} is no file`);
    if ((stat.mode & 0o077) !== 0) {
      const mode = (stat.mode & 0o777).toString(8);
      throw new Fault(
        'key-file-invalid',
        `${path} has mode ${mode}, so others than its owner reach it; run: chmod 600 ${path}`,
      );
    }
    return await file.readFile();
  } finally {
    await file.close();
  }
}
