import { open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { Fault } from '#core/fault.ts';
import { unreadable } from '#core/file-fault.ts';

/**
 * The bytes of a file that its owner alone may read, or of a credential of systemd; the mode is checked on the very
 * file that is read. The caller zeroes them. Rejects with a Fault `file-unreadable`, or `key-file-invalid` for a file
 * that others reach.
 */
export async function readSecretFile(path: string): Promise<Uint8Array> {
  const file = await open(path, 'r').catch((error: unknown) => {
    throw unreadable(path, error);
  });
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw new Fault('key-file-invalid', `${path} is no file`);
    const mode = (stat.mode & 0o777).toString(8);
    if (isCredential(path)) {
      if ((stat.mode & 0o007) !== 0) {
        throw new Fault(
          'key-file-invalid',
          `the credential ${path} has mode ${mode}, so everybody reaches it`,
        );
      }
    } else if ((stat.mode & 0o077) !== 0) {
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

/**
 * What systemd handed out stands in a folder of the unit's own. The user of the unit reads it by an access control
 * list, whose mask shows as the mode of the group: 0440, owner root (systemd.exec(5), CREDENTIALS).
 */
function isCredential(path: string): boolean {
  const folder = process.env.CREDENTIALS_DIRECTORY;
  return folder !== undefined && dirname(resolve(path)) === resolve(folder);
}
