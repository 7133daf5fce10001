import { chmodSync, chownSync, existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/**
 * Gives `file` to the owner of `model` when root made it, so that a command run by root never locks the terminal,
 * which runs as a user of its own, out of its own data. SQLite does the same for the files it makes itself.
 */
export function giveToOwnerOf(model: string, file: string): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(model);
  chownSync(file, uid, gid);
}

/**
 * Makes a folder for its owner alone, with those above it that are not there yet; each belongs to the owner of what
 * was there before. One that is there stays as it is. Throws the error of the operating system.
 */
export function makeFolder(folder: string): void {
  const path = resolve(folder);
  const first = mkdirSync(path, { mode: 0o700, recursive: true });
  if (first === undefined) return;
  for (let made = path; made.length >= first.length; made = dirname(made))
    giveToOwnerOf(dirname(first), made);
}

/** The same for one folder that a group may read too: that of the folder above, where that gives it to what is in it. */
export function makeSharedFolder(folder: string): void {
  if (existsSync(folder)) return;
  makeFolder(folder);
  // whatever the mask of the process takes away
  chmodSync(folder, 0o2750);
}
