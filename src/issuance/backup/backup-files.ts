import { createHash } from 'node:crypto';
import { copyFile, lstat, mkdir, open, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { isMissing } from '#adapters/process/durable-file.ts';
import { giveToOwnerOf } from '#adapters/process/ownership.ts';
import type { DatabasePlace } from '#ports/database-place.ts';
import type { BackupManifest } from './backup-manifest.ts';

/** Where the copy of a database is in a backup. */
export function databasePath(place: DatabasePlace, form: BackupManifest['databases']): string {
  if (place.kind === 'platform') return `databases/platform.${form}`;
  return `databases/organizations/${place.organization.id}/${place.kind}.${form}`;
}

/** in the state directory, and in no backup: databases are copied in a way of their own, lists are sent again */
const leftOut = ['databases', 'lists', 'last-backup'];
/** what a writer was about to put in the place of something, or a process listens at */
const passing = /\.new-[0-9a-f]{12}$|\.\d+$|\.sock$/;

/** Paths of the files in a state directory that belong into a backup. */
export async function stateFiles(directory: string, below = ''): Promise<readonly string[]> {
  const found: string[] = [];
  for (const entry of await readdir(join(directory, below), { withFileTypes: true })) {
    const path = below === '' ? entry.name : `${below}/${entry.name}`;
    if (leftOut.includes(path) || passing.test(path)) continue;
    if (entry.isDirectory()) found.push(...(await stateFiles(directory, path)));
    else if (entry.isFile()) found.push(path);
  }
  return found;
}

/** Copies a file for its owner alone; the owner is that of the folder it comes into. */
export async function copyPrivately(from: string, to: string): Promise<void> {
  await makeFolders(dirname(to));
  await copyFile(from, to);
  const handle = await open(to, 'r+');
  try {
    await handle.chmod(0o600);
    await handle.sync();
  } finally {
    await handle.close();
  }
  giveToOwnerOf(dirname(to), to);
}

async function makeFolders(folder: string): Promise<void> {
  if (!(await isMissing(folder))) return;
  await makeFolders(dirname(folder));
  await mkdir(folder, { mode: 0o700 });
  giveToOwnerOf(dirname(folder), folder);
}

/** Size and digest of a file, which is on the disk for good when this resolves. */
export async function fingerprint(
  file: string,
): Promise<{ readonly bytes: number; readonly sha256: string }> {
  const handle = await open(file, 'r');
  try {
    await handle.sync();
    const hash = createHash('sha256');
    await pipeline(handle.createReadStream({ autoClose: false }), hash);
    return { bytes: (await lstat(file)).size, sha256: hash.digest('hex') };
  } finally {
    await handle.close();
  }
}

/** Has the names in a folder, and in those in it, on the disk for good. */
export async function syncFolders(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true }))
    if (entry.isDirectory()) await syncFolders(join(folder, entry.name));
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
