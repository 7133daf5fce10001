import { chownSync, statSync } from 'node:fs';

/**
 * Gives `file` to the owner of `model` when root made it, so that a command run by root never locks the terminal,
 * which runs as a user of its own, out of its own data. SQLite does the same for the files it makes itself.
 */
export function giveToOwnerOf(model: string, file: string): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(model);
  chownSync(file, uid, gid);
}
