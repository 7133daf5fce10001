import { readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isMissing } from '#adapters/process/durable-file.ts';
import { giveToOwnerOf, makeFolder } from '#adapters/process/ownership.ts';
import { Fault } from '#core/fault.ts';
import { unreadable } from '#core/file-fault.ts';
import type { DatabasePlace } from '#ports/database-place.ts';
import { tellNoMore } from '../commands/conditions.ts';
import type { IssuanceConfig } from '../config.ts';
import { Counters } from '../distribution/counters.ts';
import type { Issuance } from '../main.ts';
import type { DatabaseSource } from '../storage/databases.ts';
import type { Actor } from '../storage/ledger.ts';
import { copyPrivately, databasePath, fingerprint, syncFolders } from './backup-files.ts';
import { type BackupManifest, manifestName, parseBackupManifest } from './backup-manifest.ts';

export interface RestoreParts {
  readonly config: IssuanceConfig;
  readonly sourceOf: (config: IssuanceConfig) => Promise<DatabaseSource>;
  readonly open: (config: IssuanceConfig) => Promise<Issuance>;
}

/** What was brought back. */
export interface Restored {
  readonly manifest: BackupManifest;
  /** entries of the records of what administrators did, each verified */
  readonly auditEntries: number;
}

/** Reads what belongs to the backup in `folder`, and compares every byte. Rejects with `backup-invalid`, `file-unreadable`. */
export async function readBackup(folder: string): Promise<BackupManifest> {
  const file = join(folder, manifestName);
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT')
      throw new Fault('backup-invalid', `${folder} is no backup, or none that was finished`);
    throw unreadable(file, error);
  });
  const manifest = parseBackupManifest(text, file);
  for (const { path, bytes, sha256 } of manifest.files) {
    const found = await fingerprint(join(folder, path)).catch((error: unknown) => {
      throw new Fault('backup-invalid', `${join(folder, path)} is missing or cannot be read`, {
        cause: error,
      });
    });
    if (found.bytes !== bytes || found.sha256 !== sha256)
      throw new Fault('backup-invalid', `${join(folder, path)} was changed since the backup was made`);
  }
  return manifest;
}

/**
 * Brings the backup in `folder` back where the configuration says, where nothing may be yet. All of it is verified
 * before it takes its place; numbers of changes and policies then go beyond what terminals may know, and
 * conditions that waited for a terminal are told no more. Rejects with
 * `backup-invalid`, `argument-invalid` where something is there already, and faults of the databases.
 */
export async function restoreBackup(folder: string, actor: Actor, parts: RestoreParts): Promise<Restored> {
  const { stateDirectory } = parts.config;
  await mustBeEmpty(stateDirectory);
  const manifest = await readBackup(folder);
  const draft = `${stateDirectory}.restoring`;
  await rm(draft, { recursive: true, force: true });
  makeFolder(draft);
  try {
    if (!(await isMissing(stateDirectory))) giveToOwnerOf(stateDirectory, draft);
    const config = { ...parts.config, stateDirectory: draft };
    await copyAll(folder, manifest, { draft, source: await parts.sourceOf(config) });
    const auditEntries = await verified(manifest, actor, await parts.open(config));
    await syncFolders(draft);
    await rename(draft, stateDirectory);
    await syncFolders(dirname(stateDirectory)).catch(() => undefined);
    return { manifest, auditEntries };
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw error;
  }
}

/**
 * Brings the backup in `folder` back in the new folder `scratch`, as far as that can be done without a database server
 * that is empty: there, its copies are read. Rejects as {@link restoreBackup}. Who calls removes `scratch`.
 */
export async function tryBackup(folder: string, scratch: string, parts: RestoreParts): Promise<void> {
  const config = { ...parts.config, stateDirectory: scratch };
  if (config.database.kind === 'sqlite') {
    await restoreBackup(folder, { id: 'trial', via: 'server' }, { ...parts, config });
    return;
  }
  const { files } = await readBackup(folder);
  const source = await parts.sourceOf(config);
  for (const { path } of files) if (path.startsWith('databases/')) await source.check(join(folder, path));
}

async function mustBeEmpty(directory: string): Promise<void> {
  if (await isMissing(directory)) return;
  if ((await readdir(directory)).length > 0)
    throw new Fault(
      'argument-invalid',
      `${directory} is not empty; a backup is restored where nothing is: put it aside first`,
    );
}

async function copyAll(
  folder: string,
  manifest: BackupManifest,
  { draft, source }: { readonly draft: string; readonly source: DatabaseSource },
): Promise<void> {
  if (source.copyForm !== manifest.databases)
    throw new Fault(
      'argument-invalid',
      `the backup holds databases of another kind (${manifest.databases}) than the configuration names (${source.copyForm})`,
    );
  for (const { path } of manifest.files)
    if (path.startsWith('state/'))
      await copyPrivately(join(folder, path), join(draft, path.slice('state/'.length)));
  const places: DatabasePlace[] = manifest.organizations.flatMap((organization) => [
    { kind: 'permissions', organization },
    { kind: 'journal', organization },
  ]);
  // last, so that what is half restored has no organizations
  places.push({ kind: 'platform' });
  for (const place of places) await source.restore(place, join(folder, databasePath(place, source.copyForm)));
}

/** Opens all that was restored, verifies its records, and has the record say so. */
async function verified(manifest: BackupManifest, actor: Actor, issuance: Issuance): Promise<number> {
  const { organizations, services, signing, databases } = issuance;
  let entries = 0;
  try {
    const known = await organizations.list();
    for (const { id } of known) {
      const report = await (await services.find(id))?.audit.verify([signing.publicKey()]);
      if (!report?.sound) throw new Fault('backup-invalid', `the record of ${id} in the backup was changed`);
      entries += report.entries;
    }
    const platform = await (await organizations.platformAudit()).verify([signing.publicKey()]);
    if (!platform.sound)
      throw new Fault('backup-invalid', 'the record of the platform in the backup was changed');
    for (const organization of known) {
      if (!manifest.organizations.some(({ id }) => id === organization.id))
        throw new Fault('backup-invalid', `the databases of ${organization.id} are missing in the backup`);
      await databases.journal(organization);
      const ledger = await organizations.ledger(organization);
      await ledger.change(actor, async ({ db, audit }) => {
        await tellNoMore({ db });
        await audit({ action: 'backup-restored', body: { madeAtMs: manifest.madeAtMs } });
      });
      await new Counters({ ledger, clock: issuance.clock }).leap(actor);
    }
    return entries + platform.entries;
  } finally {
    await databases.stop();
  }
}
