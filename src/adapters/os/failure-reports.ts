import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { makeFolder } from '#adapters/process/ownership.ts';

/** how many reports are kept, of some 50 kB each */
const kept = 10;

/**
 * From now on this process, when it ends by an error or for want of memory, leaves a diagnostic report of Node in
 * `failures` of `stateDirectory`: where its stacks stood, its memory, its handles; no environment, no addresses,
 * nothing of what was in memory. Returns the names of those that earlier runs left, oldest first; all but the last ten
 * are removed. Where the disk does not let it, that is logged and nothing else.
 */
export function reportFailures(stateDirectory: string, log: Pick<Logger, 'warn'>): readonly string[] {
  const folder = join(stateDirectory, 'failures');
  Object.assign(process.report, {
    directory: folder,
    compact: true,
    excludeEnv: true,
    excludeNetwork: true,
    reportOnUncaughtException: true,
    reportOnFatalError: true,
  });
  try {
    const reports = earlier(folder);
    if (reports.length > 0)
      log.warn({ folder, latest: reports.at(-1) }, 'an earlier run failed and left a report');
    return reports;
  } catch (error) {
    log.warn({ err: error, folder }, 'reports of failures cannot be kept');
    return [];
  }
}

function earlier(folder: string): readonly string[] {
  makeFolder(folder);
  const reports = readdirSync(folder)
    .filter((name) => name.startsWith('report.'))
    .sort();
  for (const name of reports.splice(0, reports.length - kept)) rmSync(join(folder, name));
  return reports;
}
