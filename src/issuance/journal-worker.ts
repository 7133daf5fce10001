import { setTimeout } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { SystemClock } from '#adapters/os/clock.ts';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { isFault, toFaultRecord } from '#core/fault.ts';
import type { OrganizationPlace } from '#ports/database-place.ts';
import { databaseSource } from './database-source.ts';
import { BatchStoring, type OrganizationJournal } from './journal/batch-storing.ts';
import { DeviceKeys } from './journal/device-keys.ts';
import { JournalStore } from './journal/journal-store.ts';
import { LettingGo } from './journal/letting-go.ts';
import { SteadyClock } from './journal/steady-clock.ts';
import { JournalChecker } from './journal-checker.ts';
import type { JournalResult, JournalTask, JournalWorkerData } from './journal-work.ts';
import { OrganizationFaults } from './organizations/organization-faults.ts';
import { Organizations } from './organizations/organizations.ts';
import { Databases } from './storage/databases.ts';

/** Runs in a thread of its own: checks and stores what terminals send of their journals. */
const { config, traced } = workerData as JournalWorkerData;
const port = parentPort;
if (!port) throw new Error('this module runs as a thread');

const letGoEveryMs = 3_600_000;
const pauseMs = 20;

const clock = new SystemClock();
const entropy = new SystemEntropy();
const databases = new Databases({ source: await databaseSource(config) });
const organizations = new Organizations({ databases, clock, entropy });
const deviceKeys = new DeviceKeys();
const checker = new JournalChecker();
checker.start();
const storing = new BatchStoring({ journalOf, clock, check: checker.check });
const steady = new SteadyClock({ clock });
const faults = new OrganizationFaults({
  tell: (organization, fault) => tell({ kind: 'not-let-go', organization, fault: toFaultRecord(fault) }),
});
let stopping = false;
const underWay = new Set<Promise<void>>();

async function journalOf(id: string): Promise<OrganizationJournal | undefined> {
  const organization = await organizations.find(id);
  if (!organization) return undefined;
  const permissions = await databases.permissions(organization);
  return {
    store: new JournalStore({ db: await databases.journal(organization), clock, entropy, traced }),
    deviceKeys: (terminal) => deviceKeys.of(permissions, terminal),
  };
}

function tell(result: JournalResult): void {
  port?.postMessage(result);
}

async function work({ id, organization, batches }: Exclude<JournalTask, 'stop'>): Promise<void> {
  try {
    for await (const committed of storing.store(organization, batches)) {
      tell({ id, kind: 'committed', committed });
    }
    tell({ id, kind: 'ended' });
  } catch (error) {
    // anything else is a bug, and ends the thread
    if (!isFault(error)) throw error;
    tell({ id, kind: 'ended', fault: toFaultRecord(error) });
  }
}

/** Lets go of what is older than the rules of the organizations, with pauses in which others have their turn. */
async function letGoOfAll(): Promise<void> {
  if (!steady.look()) return tell({ kind: 'clock-moved' });
  const all = await organizations.list().catch((error: unknown) => {
    // whoever needs this database tells of it
    if (!isFault(error)) throw error;
    return [];
  });
  await faults.each(all, letGoOf);
}

async function letGoOf(organization: OrganizationPlace): Promise<void> {
  if (stopping) return;
  const db = await organizations.journal(organization);
  const ledger = await organizations.ledger(organization);
  const total = { entries: 0, values: 0 };
  for await (const { entries, values } of new LettingGo({ db, ledger, clock }).letGo()) {
    total.entries += entries;
    total.values += values;
    if (stopping) return;
    await setTimeout(pauseMs);
  }
  if (total.entries > 0) tell({ kind: 'let-go', organization: organization.id, ...total });
}

let lettingGo = Promise.resolve();
const timer = setInterval(() => {
  lettingGo = lettingGo.then(letGoOfAll);
}, letGoEveryMs);

port.on('message', (task: JournalTask) => {
  if (task === 'stop') {
    stopping = true;
    clearInterval(timer);
    port.close();
    void Promise.allSettled([...underWay, lettingGo]).then(async () => {
      await checker.stop();
      await databases.stop();
    });
    return;
  }
  const working = work(task);
  underWay.add(working);
  void working.finally(() => underWay.delete(working));
});
