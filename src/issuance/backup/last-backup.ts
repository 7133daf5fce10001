import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile } from '#adapters/process/durable-file.ts';
import type { Clock } from '#ports/clock.ts';

const fileIn = (stateDirectory: string) => join(stateDirectory, 'last-backup');

/** Remembers that a backup is finished. */
export async function noteBackup(stateDirectory: string, atMs: number): Promise<void> {
  await replaceFile(fileIn(stateDirectory), Buffer.from(`${new Date(atMs).toISOString()}\n`));
}

/** Seconds since the last backup; undefined where none was made. */
export async function backupAge(
  stateDirectory: string,
  clock: Pick<Clock, 'utcMs'>,
): Promise<number | undefined> {
  const made = await stat(fileIn(stateDirectory)).catch(() => undefined);
  return made && Math.max(0, (clock.utcMs() - made.mtimeMs) / 1_000);
}
