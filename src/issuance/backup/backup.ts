import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createFile, isMissing } from '#adapters/process/durable-file.ts';
import { makeFolder } from '#adapters/process/ownership.ts';
import { Fault, isFault } from '#core/fault.ts';
import type { DatabasePlace } from '#ports/database-place.ts';
import type { Issuance } from '../main.ts';
import type { DatabaseSource } from '../storage/databases.ts';
import { copyPrivately, databasePath, fingerprint, stateFiles, syncFolders } from './backup-files.ts';
import { type BackupManifest, manifestName } from './backup-manifest.ts';
import { noteBackup } from './last-backup.ts';

export interface BackupParts {
  readonly issuance: Pick<Issuance, 'config' | 'clock' | 'organizations'>;
  readonly source: DatabaseSource;
  /** version of the program */
  readonly program: string;
  /** Brings an unfinished backup back in the folder `scratch`; rejects where that is not what was copied. */
  readonly tryOut: (folder: string, scratch: string) => Promise<unknown>;
}

/** Backups of the server, each a folder named by its moment; what is not finished has another name. */
const finished = /^kazasu-\d{8}T\d{6}Z$/;
const unfinished = /^\.kazasu-(unfinished|checking)-/;
const abandonedAfterMs = 86_400_000;

/**
 * Copies the server into a new folder below `to` while it runs: each database as it is at one moment, and the keys. The
 * folder has its name only once all of it is on the disk and was restored on trial. Resolves to its path. Rejects with
 * `backup-failed` and with faults of the databases; what was there before is untouched then.
 */
export async function makeBackup(to: string, parts: BackupParts): Promise<string> {
  const { clock } = parts.issuance;
  const directory = resolve(to);
  makeFolder(directory);
  await removeAbandoned(directory, clock.utcMs());
  const moment = new Date(clock.utcMs()).toISOString().replaceAll(/[-:]|\.\d+/g, '');
  const [draft, scratch] = ['unfinished', 'checking'].map((what) =>
    join(directory, `.kazasu-${what}-${moment}-${process.pid}`),
  ) as [string, string];
  const target = join(directory, `kazasu-${moment}`);
  if (!(await isMissing(target))) throw new Fault('argument-invalid', `${target} is there already`);
  try {
    await mkdir(draft, { mode: 0o700 });
    await fill(draft, parts);
    await parts.tryOut(draft, scratch);
    await syncFolders(draft);
    await rename(draft, target);
    await syncFolders(directory);
    await noteBackup(parts.issuance.config.stateDirectory, clock.utcMs());
    return target;
  } catch (error) {
    if (isFault(error)) throw error;
    const code = (error as NodeJS.ErrnoException).code;
    if (code === undefined) throw error;
    throw new Fault('backup-failed', `the backup in ${directory} could not be written (${code})`, {
      cause: error,
    });
  } finally {
    for (const left of [draft, scratch]) await rm(left, { recursive: true, force: true });
  }
}

/** Removes the oldest finished backups in `directory` until `keep` are left. Resolves to their names. */
export async function removeOldBackups(directory: string, keep: number): Promise<readonly string[]> {
  const names = (await readdir(directory)).filter((name) => finished.test(name)).sort();
  const old = names.slice(0, Math.max(0, names.length - keep));
  for (const name of old) {
    // from here on it is no backup, whenever this is cut off
    const going = join(directory, `.kazasu-unfinished-${name}`);
    await rename(join(directory, name), going);
    await rm(going, { recursive: true });
  }
  return old;
}

async function fill(draft: string, { issuance, source, program }: BackupParts): Promise<void> {
  const { config, clock, organizations } = issuance;
  const madeAtMs = clock.utcMs();
  // before the databases: what was signed last must be in them
  await copyState(config.stateDirectory, draft, '');
  const save = async (place: DatabasePlace) => {
    const file = join(draft, databasePath(place, source.copyForm));
    makeFolder(join(file, '..'));
    await source.save(place, file);
  };
  await save({ kind: 'platform' });
  const list = await organizations.list();
  for (const organization of list) {
    for (const kind of ['permissions', 'journal'] as const) await save({ kind, organization });
  }
  // keys of an organization made meanwhile; of what was signed meanwhile the databases may know nothing
  await copyState(config.stateDirectory, draft, 'authorities/');
  const files: BackupManifest['files'] = [];
  for (const path of (await everything(draft)).toSorted())
    files.push({ path, ...(await fingerprint(join(draft, path))) });
  const manifest: BackupManifest = {
    ...{ type: 'kazasu-backup', format: 1, program, madeAtMs, databases: source.copyForm },
    organizations: list.map(({ id, number, name }) => ({ id, number, name })),
    files,
  };
  await createFile(join(draft, manifestName), Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`));
}

/** Copies what is below a path and not there yet. */
async function copyState(directory: string, draft: string, below: string): Promise<void> {
  for (const path of await stateFiles(directory)) {
    if (!path.startsWith(below)) continue;
    const target = join(draft, 'state', path);
    if (!(await isMissing(target))) continue;
    await copyPrivately(join(directory, path), target).catch((error: NodeJS.ErrnoException) => {
      // replaced or removed meanwhile
      if (error.code !== 'ENOENT') throw error;
    });
  }
}

async function everything(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  return entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name).slice(folder.length + 1));
}

/** What a backup left that was cut off. One that another process works on is younger. */
async function removeAbandoned(directory: string, nowMs: number): Promise<void> {
  for (const name of (await readdir(directory)).filter((one) => unfinished.test(one))) {
    const { mtimeMs } = await stat(join(directory, name)).catch(() => ({ mtimeMs: nowMs }));
    if (nowMs - mtimeMs > abandonedAfterMs) await rm(join(directory, name), { recursive: true, force: true });
  }
}
