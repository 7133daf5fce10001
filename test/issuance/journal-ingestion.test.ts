import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { toHex } from '#core/bytes/bytes.ts';
import type { DocumentRefusal } from '#core/sync/document.ts';
import { decodeAcknowledgement } from '#core/sync/journal-acknowledgement.ts';
import { encodeJournalBatch } from '#core/sync/journal-batch-writing.ts';
import { checkSent } from '#issuance/journal/batch-checking.ts';
import { BatchStoring, type Committed, type SentBatch } from '#issuance/journal/batch-storing.ts';
import { type CheckedBatch, checkBatch } from '#issuance/journal/checked-batch.ts';
import { JournalEntries } from '#issuance/journal/journal-entries.ts';
import { JournalIngestion, paceAfter } from '#issuance/journal/journal-ingestion.ts';
import { type JournalAlarm, JournalStore } from '#issuance/journal/journal-store.ts';
import { StoredJournal } from '#issuance/journal/stored-journal.ts';
import { Databases } from '#issuance/storage/databases.ts';
import type { OutgoingMessage, TakenMessage } from '#ports/intake.ts';
import { SimulatedBroker } from '#simulators/broker/simulated-broker.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { databaseRigs, type StartedRig } from './database-rigs.ts';
import { JournalDevice, startMs } from './journal-device.ts';

const city = { id: 'city', number: 1 };
const town = { id: 'town', number: 2 };
const parts = { clock: new SimulatedClock({ utcMs: startMs }), entropy: new SystemEntropy() };
const identity = ({ terminal }: JournalDevice) => ({ organization: 'city', terminal });
const message = (device: JournalDevice, first?: number, last?: number): TakenMessage => ({
  from: identity(device),
  kind: 'journal',
  payload: encodeJournalBatch(device.batch(first, last)),
});

describe.each(databaseRigs)('ingestion of journals on $name', ({ start }) => {
  let rig: StartedRig;
  let databases: Databases;
  let devices = 0;
  beforeAll(async () => {
    rig = await start();
    databases = new Databases({ source: rig.source() });
  });
  afterAll(async () => {
    await databases.stop();
    await rig.stop();
  });

  const newDevice = () => {
    devices += 1;
    return new JournalDevice(`door-${devices}`);
  };
  const rawsOf = async ({ terminal }: JournalDevice) => {
    const raws: string[] = [];
    const stored = new StoredJournal({ db: await databases.journal(city), terminal });
    for await (const item of stored.items()) if (item.kind === 'entry') raws.push(toHex(item.raw));
    return raws;
  };
  /** Organizations `city` and `town`; commits of those for which `fails` says so are lost. */
  const ingestion = (
    publish: (message: OutgoingMessage) => Promise<'taken'>,
    fails: (organization: string) => boolean = () => false,
  ) => {
    const alarms: JournalAlarm[] = [];
    const refusals: (readonly [string, DocumentRefusal])[] = [];
    const commits: number[] = [];
    const storing = new BatchStoring({
      journalOf: async (organization) => {
        const place = [city, town].find(({ id }) => id === organization);
        if (!place) return undefined;
        if (fails(organization)) throw new Error('no database');
        const store = new JournalStore({ db: await databases.journal(place), ...parts });
        return { store, deviceKeys: async () => new Map() };
      },
      clock: parts.clock,
    });
    const made = new JournalIngestion({
      store: async (organization, batches, committed) => {
        for await (const one of storing.store(organization, batches)) {
          commits.push(one.entries);
          committed(one);
        }
      },
      publish,
      committed: (_organization, committed) => {
        alarms.push(...committed.alarms);
        refusals.push(...committed.refusals.map(({ terminal, reason }) => [terminal, reason] as const));
      },
      failed: () => undefined,
      patience: async () => undefined,
    });
    return { consume: made.take.bind(made), alarms, refusals, commits };
  };
  const told = (messages: readonly OutgoingMessage[]) =>
    messages.map(({ to, payload }) => {
      const read = decodeAcknowledgement(payload, to);
      return read.kind === 'accepted' ? read.value : read;
    });

  it('acknowledges a position once another process finds it stored', async () => {
    const [first, second] = [newDevice().append(9), newDevice().append(4)];
    const other = new Databases({ source: rig.source() });
    const stored = new JournalEntries({ db: await other.journal(city) });
    const seen: Promise<number>[] = [];
    const sent: OutgoingMessage[] = [];
    const { consume } = ingestion(async (outgoing) => {
      sent.push(outgoing);
      const { terminal } = outgoing.to;
      seen.push(stored.page({ terminal }, { limit: 99 }).then(({ entries }) => entries.length));
      return 'taken';
    });
    await consume([message(first, 1, 5), message(second), message(first, 6, 9)]);
    expect(await Promise.all(seen)).toEqual([9, 4]);
    expect(sent.map(({ kind, retain }) => [kind, retain])).toEqual([
      ['ack', undefined],
      ['ack', undefined],
    ]);
    expect(told(sent)).toMatchObject([
      { ...identity(first), position: first.position(9), credit: 8, returnAfterMs: 0 },
      { ...identity(second), position: second.position(4) },
    ]);
    await other.stop();
  });

  it('acknowledges nothing of an organization whose commit failed, and all of the others', async () => {
    const [lost, kept] = [newDevice().append(2), newDevice().append(2)];
    const sent: OutgoingMessage[] = [];
    const record = async (outgoing: OutgoingMessage) => {
      sent.push(outgoing);
      return 'taken' as const;
    };
    const { consume } = ingestion(record, (organization) => organization === 'town');
    const elsewhere = { organization: 'town', terminal: lost.terminal };
    const payload = encodeJournalBatch({ ...lost.batch(), ...elsewhere });
    const both: TakenMessage[] = [{ from: elsewhere, kind: 'journal', payload }, message(kept)];
    await expect(consume(both)).rejects.toThrow('no database');
    expect(told(sent)).toMatchObject([{ ...identity(kept), position: kept.position() }]);
    // a queue delivers both again
    await ingestion(record).consume(both);
    const again = told(sent.slice(1));
    expect(again).toHaveLength(2);
    expect(again).toContainEqual(expect.objectContaining({ ...elsewhere, position: lost.position() }));
    expect(again).toContainEqual(expect.objectContaining({ ...identity(kept), position: kept.position() }));
  });

  it('refuses the batch whose storing fails as nobody foresaw, and stores those of other terminals', async () => {
    const [one, bad, other] = [newDevice().append(2), newDevice().append(2), newDevice().append(2)];
    const unforeseen: typeof checkSent = (from, payload, keys) => {
      const result = checkSent(from, payload, keys);
      if (from.terminal !== bad.terminal || result.kind === 'refused') return result;
      const { batch } = result.checked;
      const failing = Object.defineProperty({ ...batch }, 'first', {
        get: () => {
          throw Object.assign(new RangeError('A12345678'), { code: '22P05' });
        },
      });
      return { kind: 'checked', checked: { ...result.checked, batch: failing } };
    };
    const store = async (check: typeof checkSent, sent: readonly SentBatch[]) => {
      const storing = new BatchStoring({
        journalOf: async () => ({
          store: new JournalStore({ db: await databases.journal(city), ...parts }),
          deviceKeys: async () => new Map(),
        }),
        clock: parts.clock,
        check: async (...asked) => check(...asked),
      });
      const commits: Committed[] = [];
      for await (const commit of storing.store('city', sent)) commits.push(commit);
      expect(commits).toHaveLength(1);
      return commits[0];
    };
    const batches = [one, bad, other, bad].map((device) => ({
      terminal: device.terminal,
      payload: encodeJournalBatch(device.batch()),
    }));
    const committed = await store(unforeseen, batches);
    const refusal = { terminal: bad.terminal, reason: 'malformed', bug: 'RangeError 22P05' };
    expect(committed?.refusals).toEqual([refusal, refusal]);
    expect(committed).toMatchObject({ entries: 4, alarms: [] });
    expect(committed?.positions).toEqual([
      expect.objectContaining({ terminal: one.terminal, position: one.position() }),
      expect.objectContaining({ terminal: other.terminal, position: other.position() }),
    ]);
    expect(await rawsOf(bad)).toEqual([]);
    // what it sends again is stored once nothing is wrong with it any more
    const again = await store(checkSent, batches.slice(0, 2));
    expect(again).toMatchObject({ entries: 2, refusals: [] });
    expect(await rawsOf(bad)).toHaveLength(2);
  });

  it('refuses what it cannot read, tells so, and stores the rest', async () => {
    const [device, other] = [newDevice().append(2), newDevice().append(2)];
    const sent: OutgoingMessage[] = [];
    const { consume, refusals } = ingestion(async (outgoing) => {
      sent.push(outgoing);
      return 'taken';
    });
    await consume([
      { ...message(other), from: identity(device) },
      { from: identity(device), kind: 'journal', payload: new Uint8Array(9) },
      { ...message(other), from: { organization: 'nowhere', terminal: 'gate' } },
      message(other),
    ]);
    expect(refusals).toEqual([
      [device.terminal, 'other-terminal'],
      [device.terminal, 'malformed'],
    ]);
    expect(told(sent)).toMatchObject([
      { ...identity(device), refused: 'other-terminal' },
      { ...identity(device), refused: 'malformed' },
      { ...identity(other), position: other.position() },
    ]);
    expect(await rawsOf(device)).toEqual([]);
  });

  it('stores what comes at the very moment at which nothing was left', async () => {
    const device = newDevice().append(60);
    const sent: OutgoingMessage[] = [];
    let first = 1;
    const { consume } = ingestion(async (outgoing) => {
      sent.push(outgoing);
      return 'taken';
    });
    // each next message some turns of the microtask queue later than the one before
    for (let turns = 0; first <= 60; first += 1, turns += 1) {
      const taken = consume([message(device, first, first)]);
      await taken;
      for (let turn = 0; turn < turns % 12; turn += 1) await Promise.resolve();
    }
    expect(told(sent).at(-1)).toMatchObject({ position: device.position(60) });
  });

  it('commits what unpacks to much in parts, and acknowledges each', async () => {
    const device = newDevice();
    // each batch is some KB packed and almost 4 MiB unpacked
    for (let i = 0; i < 6 * 65; i += 1)
      device.append(1, { body: { text: 'x'.repeat(60_000) }, personal: {} });
    const sent: OutgoingMessage[] = [];
    const { consume, commits } = ingestion(async (outgoing) => {
      sent.push(outgoing);
      return 'taken';
    });
    await consume([0, 1, 2, 3, 4, 5].map((at) => message(device, 65 * at + 1, 65 * (at + 1))));
    expect(commits).toEqual([130, 130, 130]);
    expect(told(sent)).toMatchObject([
      { position: device.position(130) },
      { position: device.position(260) },
      { position: device.position(390) },
    ]);
  });

  it('loses nothing and doubles nothing over a bus that drops, repeats, delays and breaks', async () => {
    const fate = fc.constantFrom<{ times: number; after?: number } | 'break' | 'crash'>(
      { times: 1 },
      { times: 1 },
      { times: 0 },
      { times: 2 },
      { times: 1, after: 2 },
      { times: 3, after: 1 },
      'break',
      'crash',
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fate, { maxLength: 60 }), async (fates) => {
        const own = [newDevice().append(40), newDevice().append(40)];
        const broker = new SimulatedBroker();
        let crashes = false;
        let breaks = false;
        broker.misbehave = () => {
          const next = fates.shift() ?? { times: 1 };
          crashes ||= next === 'crash';
          breaks ||= next === 'break';
          return typeof next === 'string' ? { times: 1 } : next;
        };
        const intake = broker.intake();
        let busy = 0;
        const { consume, alarms } = ingestion(
          async (outgoing) => {
            // the process dies between its commit and its acknowledgement
            if (crashes) crashes = false;
            else await intake.publish(outgoing);
            return 'taken';
          },
          () => crashes && fates.length % 2 === 0,
        );
        await intake.start({
          consume: async (batch) => {
            busy += 1;
            await consume(batch).finally(() => {
              busy -= 1;
              if (crashes) crashes = false;
            });
          },
          changed: () => undefined,
        });
        const links = own.map((device) => ({ device, bus: broker.bus(identity(device)), at: 0 }));
        for (const link of links) {
          await link.bus.start({
            received: async ({ payload }) => {
              const read = decodeAcknowledgement(payload, identity(link.device));
              // what comes late says less
              if (read.kind === 'accepted') link.at = Math.max(link.at, read.value.position?.sequence ?? 0);
            },
            changed: () => undefined,
          });
        }
        const settled = async () => {
          for (let idle = 0; idle < 8; idle = busy > 0 ? 0 : idle + 1) await setImmediate();
        };
        for (let round = 0; links.some(({ at }) => at < 40); round += 1) {
          expect(round).toBeLessThan(200);
          for (const { device, bus, at } of links.filter((link) => link.at < 40)) {
            for (let first = at + 1; first <= Math.min(40, at + 14); first += 7) {
              await bus.publish(message(device, first, Math.min(40, first + 6)));
            }
          }
          if (breaks) {
            breaks = false;
            broker.fail({ forget: true });
            broker.recover();
          }
          await settled();
          broker.release();
          await settled();
        }
        for (const { device, bus } of links) {
          expect(await rawsOf(device)).toEqual(device.entries.map(({ raw }) => toHex(raw)));
          await bus.stop();
        }
        await intake.stop();
        expect(alarms).toEqual([]);
      }),
      { numRuns: 12 },
    );
  });
});

describe('journals that come while others are stored', () => {
  const waiting = (count: number, organization = 'city'): TakenMessage[] =>
    Array.from({ length: count }, (_, at) => ({
      from: { organization, terminal: `gate-${at}` },
      kind: 'journal',
      payload: new Uint8Array(1),
    }));
  const rig = () => {
    const given: { readonly of: string; readonly batches: number; readonly end: () => void }[] = [];
    const made = new JournalIngestion({
      store: (of, batches) => new Promise((end) => given.push({ of, batches: batches.length, end })),
      publish: async () => 'taken',
      committed: () => undefined,
      failed: () => undefined,
      patience: async () => undefined,
    });
    return {
      made,
      sizes: () => given.map(({ batches }) => batches),
      organizations: () => given.map(({ of }) => of).join(' '),
      end: (at: number) => given[at]?.end(),
    };
  };

  it('are handed over to be checked where they are many', async () => {
    const { made, sizes, end } = rig();
    const taken = made.take(waiting(600));
    await setImmediate();
    expect(sizes()).toEqual([250, 250]);
    end(0);
    await setImmediate();
    // the last hundred
    expect(sizes()).toEqual([250, 250, 100]);
    end(1);
    end(2);
    await taken;
  });

  it('are of four organizations at a time, and none waits for all that another has', async () => {
    const { made, organizations, end } = rig();
    const taken = ['a', 'b', 'c', 'd', 'e', 'f'].map((one) => made.take(waiting(one === 'a' ? 600 : 1, one)));
    await setImmediate();
    expect(organizations()).toBe('a b c d');
    end(0);
    await setImmediate();
    expect(organizations()).toBe('a b c d e');
    // where nobody waits any more, one may have two
    for (const [at, then] of ['a b c d e f', 'a b c d e f a a'].entries()) {
      end(at + 1);
      await setImmediate();
      expect(organizations()).toBe(then);
    }
    for (let at = 3; at < 8; at += 1) end(at);
    await Promise.all(taken);
  });

  it('wait for the next commit where they are few', async () => {
    const { made, sizes, end } = rig();
    const taken = [made.take(waiting(1))];
    await setImmediate();
    taken.push(made.take(waiting(99)));
    await setImmediate();
    expect(sizes()).toEqual([1]);
    end(0);
    await setImmediate();
    expect(sizes()).toEqual([1, 99]);
    end(1);
    await Promise.all(taken);
  });

  it('are stored in the order in which they came, whichever is checked first', async () => {
    const device = new JournalDevice('gate').append(4);
    const checks = new Map<number, () => void>();
    const stored: number[] = [];
    const store = {
      store: async ([first]: readonly CheckedBatch[]) => {
        stored.push(first?.batch.first ?? 0);
        return { positions: [], alarms: [], entries: 0, taps: [] };
      },
    } as unknown as JournalStore;
    const storing = new BatchStoring({
      journalOf: async () => ({ store, deviceKeys: async () => new Map() }),
      clock: parts.clock,
      check: async (from, payload, keys) => {
        const result = checkSent(from, payload, keys);
        const first = result.kind === 'checked' ? result.checked.batch.first : 0;
        await new Promise<void>((resolve) => checks.set(first, resolve));
        return result;
      },
    });
    const all = async (first: number) => {
      const payload = encodeJournalBatch(device.batch(first, first + 1));
      for await (const _ of storing.store('city', [{ terminal: 'gate', payload }]));
    };
    const both = [all(1), all(3)];
    await setImmediate();
    checks.get(3)?.();
    await setImmediate();
    expect(stored).toEqual([]);
    checks.get(1)?.();
    await Promise.all(both);
    expect(stored).toEqual([1, 3]);
  });
});

it('lets others have a turn before each commit', async () => {
  const device = new JournalDevice('gate').append(4 * 65, {
    body: { text: 'x'.repeat(60_000) },
    personal: {},
  });
  const seen: string[] = [];
  const store = {
    store: async () => {
      seen.push('commit');
      void setImmediate().then(() => seen.push('turn'));
      return { positions: [], alarms: [], entries: 0, taps: [] };
    },
  } as unknown as JournalStore;
  const batches = [0, 1, 2, 3].map((at) => device.batch(65 * at + 1, 65 * (at + 1)));
  const results = batches.map((batch) => ({
    kind: 'checked' as const,
    checked: checkBatch(batch, device.keys()),
  }));
  const storing = new BatchStoring({
    journalOf: async () => ({ store, deviceKeys: async () => new Map() }),
    clock: parts.clock,
    check: async (_from, payload) =>
      results[payload[0] ?? 0] ?? { kind: 'refused' as const, reason: 'malformed' as const },
  });
  const sent = results.map((_, at) => ({ terminal: 'gate', payload: Uint8Array.of(at) }));
  for await (const _ of storing.store('city', sent));
  expect(seen.slice(0, 3)).toEqual(['commit', 'turn', 'commit']);
});

describe('the pace that terminals are told', () => {
  it('slows down with the commits, and never stops', () => {
    expect(paceAfter(0, 0)).toEqual({ credit: 8, returnAfterMs: 0 });
    expect(paceAfter(250, 0.5)).toEqual({ credit: 8, returnAfterMs: 0 });
    expect(paceAfter(1_000, 0)).toEqual({ credit: 2, returnAfterMs: 0 });
    expect(paceAfter(5_000, 0)).toEqual({ credit: 1, returnAfterMs: 5_000 });
    expect(paceAfter(1_000_000, 1)).toEqual({ credit: 1, returnAfterMs: 60_000 });
  });

  it('slows down while much waits', () => {
    expect(paceAfter(0, 0.6)).toEqual({ credit: 1, returnAfterMs: 3_000 });
    expect(paceAfter(0, 1)).toEqual({ credit: 1, returnAfterMs: 5_000 });
  });
});
