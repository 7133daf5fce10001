import { open } from 'node:fs/promises';
import { Fault } from '#core/fault.ts';

/**
 * The digits of a PIN file's first line, its mode checked on the very file that is read; they are never a string.
 * Rejects with a Fault `file-unreadable` or `argument-invalid`; the caller zeroes them.
 */
export async function readPinFile(path: string): Promise<Uint8Array> {
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw new Fault('file-unreadable', `the PIN file ${path} cannot be read`, { cause });
  });
  try {
    if (((await file.stat()).mode & 0o077) !== 0) {
      throw new Fault('argument-invalid', `others than its owner can read ${path}; run: chmod 600 ${path}`);
    }
    const content = await file.readFile();
    const end = content.findIndex((byte) => byte < 0x30 || byte > 0x39);
    const digits = new Uint8Array(content.subarray(0, end < 0 ? content.length : end));
    content.fill(0);
    if (digits.length === 0) throw new Fault('argument-invalid', `${path} does not begin with digits`);
    return digits;
  } finally {
    await file.close();
  }
}
