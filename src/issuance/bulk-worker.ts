import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { readHolderFile } from '#adapters/csv/holder-file.ts';
import { readHolderLines } from '#adapters/csv/holder-lines.ts';
import { detectEncoding } from '#adapters/csv/text-blocks.ts';
import { japaneseHolidays } from '#adapters/holidays/japan.ts';
import { SystemClock } from '#adapters/os/clock.ts';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { isFault, toFaultRecord } from '#core/fault.ts';
import type { BulkMessage, BulkWorkerData } from './bulk-work.ts';
import { databaseSource } from './database-source.ts';
import { DistributionBuilder } from './distribution/builder.ts';
import { Organizations } from './organizations/organizations.ts';
import { DueChanges } from './permissions/due-changes.ts';
import { type ListFiles, ListImporter } from './permissions/list-importer.ts';
import { Databases } from './storage/databases.ts';

/** Runs in a thread of its own what lasts: reading lists of holders, letting what is due come into force, building what is
 * distributed to terminals. */
const { config, lookEveryMs } = workerData as BulkWorkerData;
const port = parentPort;
if (!port) throw new Error('this module runs as a thread');

/**
 * Longer than whoever waits for the lock of a SQLite file sleeps between two tries (adapters/sqlite), so that an urgent
 * change is never passed over.
 */
const pauseMs = 6;

const clock = new SystemClock();
const databases = new Databases({ source: await databaseSource(config) });
const organizations = new Organizations({ databases, clock, entropy: new SystemEntropy() });
const importers = new Map<string, ListImporter>();
const builders = new Map<string, DistributionBuilder>();
let stopping = false;
let wake = new AbortController();

function filesOf(organizationId: string): ListFiles {
  const path = (id: string) => join(config.stateDirectory, 'lists', organizationId, id);
  return {
    has: (id) =>
      stat(path(id)).then(
        () => true,
        () => false,
      ),
    rows: async (id, { mode, format }, rules, progress) => {
      const file = path(id);
      if (format === 'ndjson') return readHolderLines({ file, mode, rules, progress });
      return readHolderFile({ file, encoding: await detectEncoding(file), mode, rules, progress });
    },
    remove: (id) => rm(path(id), { force: true }),
  };
}

async function workOn(organizationId: string): Promise<boolean> {
  const organization = await organizations.find(organizationId);
  if (!organization) return false;
  const ledger = await organizations.ledger(organization);
  const due = new DueChanges({ ledger });
  /** what is due does not wait for the end of a list; one that is cut off here begins anew at the next start */
  const pause = async () => {
    if (stopping) throw new Stopped();
    await due.step(clock.utcMs());
    await setTimeout(pauseMs);
  };
  let importer = importers.get(organizationId);
  if (!importer) {
    importer = new ListImporter({ ledger, clock, pause, files: filesOf(organizationId) });
    await importer.recover();
    importers.set(organizationId, importer);
  }
  let builder = builders.get(organizationId);
  if (!builder) {
    builder = new DistributionBuilder({ organization: organizationId, ledger, holidays: japaneseHolidays });
    builders.set(organizationId, builder);
  }
  let worked = false;
  while (!stopping && (await due.step(clock.utcMs()))) {
    worked = true;
    await setTimeout(pauseMs);
  }
  while (!stopping && (await builder.step(clock.utcMs()))) {
    worked = true;
    await setTimeout(pauseMs);
  }
  return !stopping && ((await importer.work()) || worked);
}

class Stopped extends Error {}

port.on('message', (message: BulkMessage) => {
  stopping ||= message === 'stop';
  wake.abort();
});

while (!stopping) {
  let worked = false;
  try {
    for (const { id } of await organizations.list()) worked = (await workOn(id)) || worked;
  } catch (error) {
    // what was cut off begins anew
    importers.clear();
    if (isFault(error)) port.postMessage(toFaultRecord(error));
    else if (!(error instanceof Stopped)) throw error;
  }
  if (worked || stopping) continue;
  await setTimeout(lookEveryMs, undefined, { signal: wake.signal }).catch(() => undefined);
  wake = new AbortController();
}
await databases.stop();
port.close();
