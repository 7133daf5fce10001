import { access, link, open, rm } from 'node:fs/promises';
import { Fault } from '#core/fault.ts';

/**
 * Writes a new file, for its owner alone, which has its name once it is whole. An export is evidence: one that is there is
 * never written over. Rejects with `argument-invalid`, and as `write` does.
 */
export async function writeEvidence<T>(
  out: string,
  write: (append: (text: string) => Promise<void>) => Promise<T>,
): Promise<T> {
  const unfinished = `${out}.unfinished`;
  try {
    await access(out).then(
      () => Promise.reject(refused(out, 'EEXIST')),
      () => undefined,
    );
    const handle = await open(unfinished, 'w', 0o600);
    try {
      const written = await write((text) => handle.appendFile(text));
      await handle.sync();
      await link(unfinished, out);
      return written;
    } finally {
      await handle.close();
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw code === undefined || error instanceof Fault ? error : refused(out, code, error);
  } finally {
    await rm(unfinished, { force: true });
  }
}

function refused(out: string, code: string, cause?: unknown): Fault {
  const why =
    code === 'EEXIST'
      ? 'exists already; name another file'
      : `cannot be written${code === 'ENOENT' ? ': its folder does not exist' : ''} (${code})`;
  return new Fault('argument-invalid', `${out} ${why}`, { cause });
}
