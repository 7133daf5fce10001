import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { toHex } from '#core/bytes/bytes.ts';
import { digest } from '#core/crypto/digest.ts';
import { BatchStoring } from '#issuance/journal/batch-storing.ts';
import { JournalIngestion } from '#issuance/journal/journal-ingestion.ts';
import { type JournalAlarm, JournalStore } from '#issuance/journal/journal-store.ts';
import { StoredJournal } from '#issuance/journal/stored-journal.ts';
import { Databases } from '#issuance/storage/databases.ts';
import type { Intake } from '#ports/intake.ts';
import { SimulatedBroker } from '#simulators/broker/simulated-broker.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { databaseRigs, type StartedRig } from '../issuance/database-rigs.ts';
import { UploadingDevice } from './uploading-device.ts';

const startMs = 1_775_000_000_000;
const city = { id: 'city', number: 1 };
const clock = new SimulatedClock({ utcMs: startMs });
let rig: StartedRig;
let databases: Databases;
let made: UploadingDevice[] = [];
let intakes: Intake[] = [];
let names = 0;

beforeAll(async () => {
  rig = await (databaseRigs[0] as (typeof databaseRigs)[number]).start();
  databases = new Databases({ source: rig.source() });
});
afterAll(async () => {
  await databases.stop();
  await rig.stop();
});
afterEach(async () => {
  for (const device of made) {
    await device.die();
    device.remove();
  }
  for (const intake of intakes) await intake.stop();
  [made, intakes] = [[], []];
});

function newDevice(): UploadingDevice {
  names += 1;
  const device = new UploadingDevice({ terminal: `door-${names}`, clock });
  made.push(device);
  return device;
}

const no = () => false;

/** The server: `fails` says whether a commit is lost, `silent` whether it dies before its acknowledgement. */
async function serve(
  broker: SimulatedBroker,
  device: UploadingDevice,
  { fails = no, silent = no }: { fails?: () => boolean; silent?: () => boolean } = {},
) {
  const alarms: JournalAlarm[] = [];
  const state = { busy: 0 };
  const intake = broker.intake();
  intakes.push(intake);
  const storing = new BatchStoring({
    journalOf: async () => {
      if (fails()) throw new Error('no database');
      const db = await databases.journal(city);
      const store = new JournalStore({ db, clock, entropy: new SystemEntropy() });
      return { store, deviceKeys: async () => device.keys() };
    },
    clock,
  });
  const ingestion = new JournalIngestion({
    store: async (organization, batches, committed) => {
      for await (const one of storing.store(organization, batches)) committed(one);
    },
    publish: async (message) => (silent() ? 'away' : intake.publish(message)),
    committed: (_organization, committed) => alarms.push(...committed.alarms),
    failed: () => undefined,
    patience: async () => undefined,
  });
  await intake.start({
    consume: async (batch) => {
      state.busy += 1;
      await ingestion.take(batch).finally(() => {
        state.busy -= 1;
      });
    },
    changed: () => undefined,
  });
  const settled = async () => {
    for (let idle = 0; idle < 6; idle = state.busy > 0 ? 0 : idle + 1) await setImmediate();
  };
  return { alarms, settled };
}

async function storedOf({ identity }: UploadingDevice): Promise<readonly string[]> {
  const hashes: string[] = [];
  const { terminal } = identity;
  const stored = new StoredJournal({ db: await databases.journal(city), terminal });
  for await (const item of stored.items()) {
    if (item.kind === 'entry') hashes.push(toHex(digest('sha-256', item.raw)));
  }
  return hashes;
}

/** The server has only the first `left` entries of the latest incarnation any more. */
async function lose({ identity }: UploadingDevice, left: number): Promise<void> {
  const db = await databases.journal(city);
  const chain = await db
    .selectFrom('chains')
    .select('chain')
    .where('terminal', '=', identity.terminal)
    .executeTakeFirstOrThrow();
  for (const table of ['personal', 'checkpoints', 'entries'] as const) {
    await db.deleteFrom(table).where('chain', '=', chain.chain).where('sequence', '>', left).execute();
  }
  const { hash } = await db
    .selectFrom('entries')
    .select('hash')
    .where('chain', '=', chain.chain)
    .where('sequence', '=', left)
    .executeTakeFirstOrThrow();
  await db
    .updateTable('chains')
    .set({ sequence: left, hash: toHex(hash), signed_through: 0 })
    .where('chain', '=', chain.chain)
    .execute();
}

/** Lets time pass until the server has everything. */
async function drained(device: UploadingDevice, settled: () => Promise<void>): Promise<void> {
  for (let rounds = 0; ; rounds += 1) {
    expect(rounds).toBeLessThan(300);
    await settled();
    const { uploaded, last } = device.extent();
    if (uploaded.stored === last && uploaded.signed === last) return;
    await clock.advanceAsync(5_000, settled);
  }
}

type Fate = { times: number; after?: number } | 'cut' | 'broker' | 'no-commit' | 'no-answer' | 'device';

describe('a journal on its way to the server', () => {
  it('loses nothing and doubles nothing, whatever breaks on the way, and when', async () => {
    const fate = fc.constantFrom<Fate>(
      { times: 1 },
      { times: 1 },
      { times: 1 },
      { times: 0 },
      { times: 2 },
      { times: 1, after: 2 },
      'cut',
      'broker',
      'no-commit',
      'no-answer',
      'device',
    );
    const steps = fc.array(fc.nat(12), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(fc.array(fate, { maxLength: 40 }), steps, async (someFates, someDeaths) => {
        const [fates, deaths] = [[...someFates], [...someDeaths]];
        const broker = new SimulatedBroker();
        const device = newDevice();
        const next = new Set<Fate>();
        const due = (which: Fate) => next.delete(which);
        broker.misbehave = () => {
          const one = fates.shift() ?? { times: 1 };
          if (typeof one === 'object') return one;
          next.add(one);
          return { times: 1 };
        };
        let left = deaths.shift();
        device.dies = () => {
          if (due('device')) return true;
          if (left === undefined) return false;
          left -= 1;
          if (left >= 0) return false;
          left = deaths.shift();
          return true;
        };
        const { alarms, settled } = await serve(broker, device, {
          fails: () => due('no-commit'),
          silent: () => due('no-answer'),
        });
        await device.start(broker.bus(device.identity));
        for (let round = 0; round < 6; round += 1) {
          // a new name makes a new incarnation
          const renamed = round >= 4 ? 'renamed' : undefined;
          if (round === 4) await device.die();
          if (device.dead) {
            await device.die();
            await device.start(broker.bus(device.identity), renamed);
          }
          device.append(round === 2 ? 450 : 30);
          if (round % 2 === 1) await device.sign();
          await clock.advanceAsync(300, settled);
          if (due('cut')) broker.cut(device.identity);
          if (due('broker')) {
            broker.fail({ forget: true });
            broker.recover();
          }
          await clock.advanceAsync(3_000, settled);
          broker.release();
        }
        fates.length = 0;
        next.clear();
        device.dies = no;
        if (device.dead) {
          await device.die();
          await device.start(broker.bus(device.identity), 'renamed');
        }
        broker.release();
        await drained(device, settled);
        expect((await storedOf(device)).toSorted()).toEqual(device.hashes().toSorted());
        expect(alarms).toEqual([]);
        expect(device.noted).toEqual([]);
        await device.die();
      }),
      { numRuns: 25 },
    );
  });

  it('is followed by a server that was restored from an older copy, which is sent again what it lost', async () => {
    const broker = new SimulatedBroker();
    const device = newDevice();
    const { alarms, settled } = await serve(broker, device);
    await device.start(broker.bus(device.identity));
    device.append(900);
    await device.sign();
    await drained(device, settled);
    await lose(device, 350);
    expect(await storedOf(device)).toHaveLength(350);
    // it starts again, and so does its broker
    broker.fail({ forget: true });
    broker.recover();
    await clock.advanceAsync(30_000, settled);
    expect(await storedOf(device)).toEqual(device.hashes());
    expect(alarms).toEqual([]);
    expect(device.noted).toEqual([]);
  });

  it('is stored as far as it is there, where a server that was restored lacks what is gone here', async () => {
    const broker = new SimulatedBroker();
    const device = newDevice();
    const { alarms, settled } = await serve(broker, device);
    await device.start(broker.bus(device.identity));
    device.append(300);
    await device.sign();
    await drained(device, settled);
    device.forget(200);
    await lose(device, 50);
    broker.cut(device.identity);
    await clock.advanceAsync(30_000, settled);
    const missing = { fromSequence: 51, toSequence: 200 };
    expect(alarms).toMatchObject([{ kind: 'entries-missing', ...missing }]);
    expect(device.noted).toMatchObject([{ alarm: 'journal-gap', from: 51, through: 200 }]);
    expect((await storedOf(device)).slice(50)).toEqual(device.hashes());
  });

  it('is stored from where it begins, by a server that never saw what is gone here', async () => {
    const broker = new SimulatedBroker();
    const device = newDevice();
    const { alarms, settled } = await serve(broker, device);
    await device.start(broker.bus(device.identity));
    device.append(20);
    await device.die();
    await device.start(broker.bus(device.identity), 'renamed');
    device.append(50);
    await device.sign();
    for (const through of [20, 45]) device.forget(through);
    await drained(device, settled);
    expect(await storedOf(device)).toEqual(device.hashes());
    expect(alarms).toMatchObject([{ kind: 'entries-missing', fromSequence: 1, toSequence: 25 }]);
  });

  it('is found out where its history was rewritten after the fact, entry by entry', async () => {
    const broker = new SimulatedBroker();
    const device = newDevice();
    const { alarms, settled } = await serve(broker, device);
    await device.start(broker.bus(device.identity));
    device.append(300);
    await device.die();
    device.copy('keep');
    await device.start(broker.bus(device.identity));
    device.append(100);
    await device.sign();
    await drained(device, settled);
    const before = await storedOf(device);
    // the whole disk as it was, and another story from there
    await device.die();
    device.copy('put-back');
    await device.start(broker.bus(device.identity));
    device.append(160, { body: { door: 'nobody-came' } });
    await device.sign();
    for (let rounds = 0; rounds < 20; rounds += 1) await clock.advanceAsync(5_000, settled);
    expect(alarms).toContainEqual(
      expect.objectContaining({ kind: 'entry-rewritten', fromSequence: 301, toSequence: 400 }),
    );
    expect(device.noted).toMatchObject([{ alarm: 'journal-contradicted' }]);
    const stored = await storedOf(device);
    expect(stored.slice(0, 400)).toEqual(before);
    // what comes behind what was stored is stored as well, wrong as it is
    expect(stored.slice(400)).toEqual(device.hashes().slice(400));
  });

  it('goes on under a new incarnation after a restore, and the server keeps what the device has lost', async () => {
    const broker = new SimulatedBroker();
    const device = newDevice();
    const { alarms, settled } = await serve(broker, device);
    await device.start(broker.bus(device.identity));
    device.append(300);
    await device.die();
    device.copy('keep');
    await device.start(broker.bus(device.identity));
    device.append(100);
    await device.sign();
    await drained(device, settled);
    const before = await storedOf(device);
    await device.die();
    device.copy('put-back');
    await device.start(broker.bus(device.identity), 'renamed');
    device.append(50);
    await device.sign();
    await drained(device, settled);
    const stored = await storedOf(device);
    expect(stored.toSorted()).toEqual([...new Set([...before, ...device.hashes()])].toSorted());
    expect(stored).toHaveLength(450);
    expect([alarms, device.noted]).toEqual([[], []]);
  });
});
