import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { encodeJournalBatch } from '#core/sync/journal-batch-writing.ts';
import { encodeLiveEvents } from '#core/sync/live-events.ts';
import { JournalEntries } from '#issuance/journal/journal-entries.ts';
import type { LiveItem } from '#issuance/journal/live-feed.ts';
import { databaseRigs, type StartedRig } from './database-rigs.ts';
import { startGateway } from './gateway-bench.ts';
import { JournalDevice } from './journal-device.ts';

/** The server as the program builds it, terminals over TLS, and what a terminal in wrong hands may try. */
describe.each(databaseRigs)('journals through the gateway on $name', ({ start }) => {
  let rig: StartedRig;
  let gateway: Awaited<ReturnType<typeof startGateway>>;
  let stored: JournalEntries;
  let devices = 0;
  beforeAll(async () => {
    rig = await start();
    gateway = await startGateway(rig);
    stored = new JournalEntries({ db: gateway.journal });
  });
  afterAll(async () => {
    await gateway.stop();
    await rig.stop();
  });

  const newTerminal = async () => {
    devices += 1;
    const device = new JournalDevice(`door-${devices}`);
    return { device, ...(await gateway.connect(device)) };
  };
  const count = async ({ terminal }: JournalDevice) =>
    (await stored.page({ terminal }, { limit: 500 })).entries.length;

  it('stores what a terminal sends, signed by its device, and tells each tap by its id', async () => {
    const { device, publish, told } = await newTerminal();
    device.append(20);
    await publish('journal', encodeJournalBatch(device.batch(1, 12)));
    await publish(
      'journal',
      encodeJournalBatch(device.batch(13, 20, { checkpoints: [await device.checkpoint()] })),
    );
    const last = await told(({ position }) => position?.sequence === 20);
    expect(last).toMatchObject({ position: device.position(), signedThrough: 20, credit: 8 });
    expect(await stored.alarms({ terminal: device.terminal }, { limit: 9 })).toEqual({ alarms: [] });
    const tapId = '7'.padStart(32, '0');
    expect(gateway.logged).toContainEqual(
      expect.objectContaining({ msg: 'entry stored', terminal: device.terminal, sequence: 7, tapId }),
    );
    const { entries } = await stored.page({ tapId, terminal: device.terminal }, { limit: 9 });
    expect(entries).toMatchObject([{ sequence: 7, personal: { userNumber: 'A7' } }]);
  });

  it('names each entry that was rewritten after it was stored, in the log and to whoever watches', async () => {
    const { device, publish, told } = await newTerminal();
    device.append(10);
    await publish('journal', encodeJournalBatch(device.batch()));
    await told(({ position }) => position?.sequence === 10);
    const watched: LiveItem[] = [];
    const end = gateway.services.live.watch({}, Number.MAX_SAFE_INTEGER, (item) => watched.push(item));
    await publish('journal', encodeJournalBatch(device.rewritten(4).append(1).batch()));
    const alarm = { kind: 'entry-rewritten', fromSequence: 4, toSequence: 10 };
    await vi.waitFor(() => expect(watched).toMatchObject([{}, { kind: 'journal-alarm', alarm }]));
    end();
    expect(await stored.alarms({ terminal: device.terminal }, { limit: 9 })).toMatchObject({
      alarms: [{ kind: 'chain-broken' }, { kind: 'entry-rewritten', fromSequence: 4, toSequence: 10 }],
    });
    expect(gateway.logged).toContainEqual(
      expect.objectContaining({ level: 50, msg: 'alarm', terminal: device.terminal, ...alarm }),
    );
    // what was stored first stands
    const { entries } = await stored.page({ terminal: device.terminal, door: 'nobody-came' }, { limit: 99 });
    expect(entries).toEqual([]);
  });

  it('refuses what it cannot read, says why, and takes the next', async () => {
    const { device, publish, told } = await newTerminal();
    const other = new JournalDevice('somebody-else').append(3);
    device.append(2);
    await publish('journal', new Uint8Array(100).fill(1));
    await told(({ refused }) => refused === 'malformed');
    await publish('journal', encodeJournalBatch(other.batch()));
    await told(({ refused }) => refused === 'other-terminal');
    await publish('journal', encodeJournalBatch({ ...device.batch(), organization: 'town' }));
    await told(({ refused }) => refused === 'other-organization');
    // a bomb: 200 MiB of which nothing is unpacked
    await publish('journal', gzipSync(new Uint8Array(200 * 1_048_576)));
    await vi.waitFor(() =>
      expect(
        gateway.logged.filter(
          ({ terminal, reason }) => terminal === device.terminal && reason === 'malformed',
        ),
      ).toHaveLength(2),
    );
    await publish('journal', encodeJournalBatch(device.batch()));
    await told(({ position }) => position?.sequence === 2);
    expect([await count(device), await count(other)]).toEqual([2, 0]);
  });

  it('serves others while one sends without end and without heeding its credit', async () => {
    const [greedy, modest] = [await newTerminal(), await newTerminal()];
    // unpacked each is almost 4 MiB
    for (let i = 0; i < 65; i += 1) {
      greedy.device.append(1, { body: { text: 'x'.repeat(60_000) }, personal: {} });
    }
    modest.device.append(3);
    const payload = encodeJournalBatch(greedy.device.batch());
    const flood = Array.from({ length: 120 }, () => greedy.publish('journal', payload));
    await modest.publish('journal', encodeJournalBatch(modest.device.batch()));
    await modest.told(({ position }) => position?.sequence === 3);
    await Promise.all(flood);
    await greedy.told(({ position }) => position?.sequence === 65);
    expect(await count(greedy.device)).toBe(65);
  });

  it('shows what happens at once, and alarms to whoever comes later', async () => {
    const { device, publish } = await newTerminal();
    device.append(1).append(1, { kind: 'alarm', body: { alarm: 'forced', door: 'north' }, personal: {} });
    const events = (
      await Promise.all(device.entries.map(({ raw }) => JSON.parse(new TextDecoder().decode(raw))))
    ).map(({ incarnation, sequence, atMs, clock, kind, tapId, body }) => ({
      ...{ incarnation, sequence, atMs, clock, kind, tapId, body },
    }));
    const watched: LiveItem[] = [];
    const end = gateway.services.live.watch({ terminals: new Set([device.terminal]) }, undefined, (item) =>
      watched.push(item),
    );
    await publish('live', encodeLiveEvents({ organization: 'city', terminal: device.terminal, events }));
    await vi.waitFor(() => expect(watched).toMatchObject(events.map((event) => ({ kind: 'entry', event }))));
    await publish('live', encodeLiveEvents({ organization: 'city', terminal: 'other', events }));
    await publish('live', new Uint8Array(3));
    await vi.waitFor(() =>
      expect(gateway.logged.filter(({ msg }) => msg === 'live events were refused')).toHaveLength(2),
    );
    end();
    const later: LiveItem[] = [];
    gateway.services.live.watch({ terminals: new Set([device.terminal]) }, undefined, (item) =>
      later.push(item),
    )();
    expect(later).toMatchObject([{ event: { kind: 'alarm', sequence: 2 } }]);
    // the record is the journal alone
    expect(await count(device)).toBe(0);
  });
});
