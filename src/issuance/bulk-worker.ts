import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { readHolderFile } from '#adapters/csv/holder-file.ts';
import { readHolderLines } from '#adapters/csv/holder-lines.ts';
import { detectEncoding } from '#adapters/csv/text-blocks.ts';
import { japaneseHolidays } from '#adapters/holidays/japan.ts';
import { SystemClock } from '#adapters/os/clock.ts';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { Fault, isFault, toFaultRecord } from '#core/fault.ts';
import { BulkOrganizations, type OrganizationWork } from './bulk-organizations.ts';
import type { BulkMessage, BulkReport, BulkWorkerData } from './bulk-work.ts';
import { databaseSource } from './database-source.ts';
import { DistributionBuilder } from './distribution/builder.ts';
import { Organizations } from './organizations/organizations.ts';
import { DueChanges } from './permissions/due-changes.ts';
import type { ListFiles } from './permissions/import-run.ts';
import { ListImporter } from './permissions/list-importer.ts';
import { Databases } from './storage/databases.ts';
import { leasesOf } from './storage/lease.ts';

/** Runs in a thread of its own what lasts: reading lists of holders, letting what is due come into force, building what is
 * distributed to terminals. */
const { config, lookEveryMs } = workerData as BulkWorkerData;
const port = parentPort;
if (!port) throw new Error('this module runs as a thread');

const clock = new SystemClock();
const databases = new Databases({ source: await databaseSource(config) });
const organizations = new Organizations({ databases, clock, entropy: new SystemEntropy() });
/** whoever sends a list writes to its draft all the time: this one is nobody's any more */
const abandonedAfterMs = 3_600_000;

function filesOf(organizationId: string): ListFiles {
  const folder = join(config.stateDirectory, 'lists', organizationId);
  const path = (id: string) => join(folder, id);
  return {
    has: async (id) => (await modifiedMs(path(id))) !== undefined,
    names: async () => {
      const names: { id: string; abandoned: boolean }[] = [];
      for (const name of await readdir(folder).catch(() => [])) {
        const abandoned = Date.now() - ((await modifiedMs(path(name))) ?? 0) > abandonedAfterMs;
        if (!name.endsWith('.part')) names.push({ id: name, abandoned });
        else if (abandoned) await rm(path(name), { force: true });
      }
      return names;
    },
    rows: async function* (id, { mode, format }, rules, progress) {
      const file = path(id);
      try {
        yield* format === 'ndjson'
          ? readHolderLines({ file, mode, rules, progress })
          : readHolderFile({ file, encoding: await detectEncoding(file), mode, rules, progress });
      } catch (error) {
        // whoever sent it has no business with where it lies
        throw isFault(error) ? new Fault(error.code, error.message.replaceAll(file, 'the list')) : error;
      }
    },
    remove: (id) => rm(path(id), { force: true }),
  };
}

async function modifiedMs(file: string): Promise<number | undefined> {
  return stat(file).then(
    ({ mtimeMs }) => mtimeMs,
    () => undefined,
  );
}

function tell(report: BulkReport): void {
  port?.postMessage(report);
}

async function open(organizationId: string): Promise<OrganizationWork> {
  const organization = await organizations.find(organizationId);
  if (!organization) throw new Fault('argument-invalid', `there is no organization "${organizationId}"`);
  const ledger = await organizations.ledger(organization);
  const due = new DueChanges({ ledger });
  const builder = new DistributionBuilder({
    organization: organizationId,
    ledger,
    holidays: japaneseHolidays,
    lease: leases(ledger.db, 'builder'),
    sealed: () => tell({ sealed: organizationId }),
  });
  return {
    steps: [(nowMs) => due.step(nowMs), (nowMs) => builder.step(nowMs)],
    importer: (pause) => new ListImporter({ ledger, clock, pause, files: filesOf(organizationId) }),
  };
}

const leases = leasesOf({ shared: config.database.kind === 'postgres', clock, entropy: new SystemEntropy() });
const bulk = new BulkOrganizations({
  clock,
  list: () => organizations.list(),
  open,
  lookEveryMs,
  onError: (error, organization) => {
    tell({
      ...(organization !== undefined && { organization }),
      ...(isFault(error) ? { fault: toFaultRecord(error) } : { bug: stackOf(error) }),
    });
  },
});

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

port.on('message', (message: BulkMessage) => {
  if (message === 'stop') bulk.stop();
  else bulk.look();
});
await bulk.run();
await databases.stop();
port.close();
