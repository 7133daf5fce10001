import { randomBytes } from 'node:crypto';
import { link, lstat, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Fault } from '#core/fault.ts';
import { unreadable } from '#core/file-fault.ts';
import { giveToOwnerOf } from './ownership.ts';

/** Whether nothing is at `file`. Rejects with `file-unreadable` where that cannot be told. */
export async function isMissing(file: string): Promise<boolean> {
  try {
    await lstat(file);
    return false;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw unreadable(file, error);
  }
}

/** Puts `content` in the place of `file` durably, whole or not at all, readable by its owner alone. */
export function replaceFile(file: string, content: Uint8Array): Promise<void> {
  return placeFile(file, content, { place: rename, mode: 0o600 });
}

/** The same for a file that the group of its folder may read too, where the folder gives its group to what is in it. */
export function replaceSharedFile(file: string, content: Uint8Array): Promise<void> {
  return placeFile(file, content, { place: rename, mode: 0o640 });
}

/** The same, where there is nothing yet: rejects with `key-refused` where something is. */
export function createFile(file: string, content: Uint8Array): Promise<void> {
  return placeFile(file, content, { place: link, mode: 0o600 });
}

/**
 * `place`: `rename`, which replaces, or `link`, which does not. Every writer has an unfinished file of its own, so that
 * of two at once none puts half a file of the other in place; what a power cut left is removed.
 */
async function placeFile(
  file: string,
  content: Uint8Array,
  { place, mode }: { readonly place: typeof rename; readonly mode: number },
): Promise<void> {
  const unfinished = `${file}${unfinishedMark}${randomBytes(6).toString('hex')}`;
  try {
    for (const left of await unfinishedOf(file)) await rm(left, { force: true });
    const handle = await open(unfinished, 'wx', mode);
    try {
      // whatever the mask of the process takes away
      await handle.chmod(mode);
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    giveToOwnerOf(dirname(file), unfinished);
    await place(unfinished, file);
    await rm(unfinished, { force: true });
    await syncFolder(file);
  } catch (error) {
    await rm(unfinished, { force: true });
    throw unwritable(file, error);
  }
}

const unfinishedMark = '.new-';

async function unfinishedOf(file: string): Promise<readonly string[]> {
  const folder = dirname(file);
  const start = `${basename(file)}${unfinishedMark}`;
  const unfinished = (name: string) =>
    name.startsWith(start) && /^[0-9a-f]{12}$/.test(name.slice(start.length));
  return (await readdir(folder)).filter(unfinished).map((name) => join(folder, name));
}

/**
 * Destroys a file and what replacements of it left: overwritten, then removed, each tried whatever became of the
 * others. On flash memory the old bytes may survive being overwritten; what was in it was encrypted, and its sealing
 * key is what counts. A file that is not there is no fault.
 *
 * @throws Fault `key-file-invalid` with what failed first
 */
export async function destroyFile(file: string): Promise<void> {
  const failures: unknown[] = [];
  const attempt = <T>(step: Promise<T>): Promise<T | undefined> =>
    step.catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') failures.push(error);
      return undefined;
    });
  // unfinished ones first: a writer that still has one cannot put it in place any more
  for (const path of [...((await attempt(unfinishedOf(file))) ?? []), file]) {
    await attempt(overwrite(path));
    await attempt(rm(path));
  }
  await attempt(syncFolder(file));
  if (failures.length > 0) throw unwritable(file, failures[0]);
}

async function overwrite(file: string): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    const { size } = await handle.stat();
    await handle.writeFile(randomBytes(size));
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function unwritable(file: string, error: unknown): Fault {
  const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
  if (code === 'EEXIST') return new Fault('key-refused', `${file} is there already, and is left as it is`);
  return new Fault('key-file-invalid', `${file} cannot be written or removed (${code})`, {
    cause: unreadable(file, error),
  });
}

async function syncFolder(file: string): Promise<void> {
  const folder = await open(dirname(file), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
