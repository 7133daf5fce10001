import type { Kysely } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { VerifyReport } from '#core/journal/verify-report.ts';
import { AuditJournal } from '#issuance/audit/audit-journal.ts';
import { checkBatch } from '#issuance/journal/checked-batch.ts';
import { JournalEntries } from '#issuance/journal/journal-entries.ts';
import { JournalStates } from '#issuance/journal/journal-states.ts';
import { JournalStore } from '#issuance/journal/journal-store.ts';
import { LettingGo } from '#issuance/journal/letting-go.ts';
import { StoredJournal } from '#issuance/journal/stored-journal.ts';
import type { CommonTables } from '#issuance/storage/common-tables.ts';
import type { JournalDatabase } from '#issuance/storage/databases.ts';
import type { Actor } from '#issuance/storage/ledger.ts';
import { databaseRigs, type StartedRig } from './database-rigs.ts';
import { JournalDevice } from './journal-device.ts';
import { makeOrganization } from './organization-bench.ts';

const dayMs = 86_400_000;
const taro: Actor = { id: 'taro', via: 'session' };

describe.each(databaseRigs)('what the server lets go of on $name', ({ start }) => {
  let rig: StartedRig;
  let city: Awaited<ReturnType<typeof makeOrganization>>;
  let db: JournalDatabase;
  let goes: LettingGo;
  let store: JournalStore;
  beforeAll(async () => {
    rig = await start();
  });
  afterAll(() => rig.stop());
  beforeEach(async () => {
    city = await makeOrganization(rig, 'city');
    db = await city.databases.journal({ id: 'city', number: 1 });
    goes = new LettingGo({ db, ledger: city.ledger, clock: city.clock });
    store = new JournalStore({ db, clock: city.clock, entropy: city.shared.entropy });
  });
  afterEach(async () => {
    for (const table of [
      ...['journal_terminals', 'chains', 'entries', 'personal', 'checkpoints', 'evidence', 'alarms'],
      ...['forgotten', 'erasures', 'retention'],
    ] as const) {
      await db.deleteFrom(table as 'chains').execute();
    }
    await city.databases.stop();
  });

  const send = (device: JournalDevice, ...given: Parameters<JournalDevice['batch']>) =>
    store.store([checkBatch(device.batch(...given), device.keys())]);
  const verified = (device: JournalDevice): Promise<VerifyReport> =>
    new StoredJournal({ db, terminal: device.terminal }).verify([device.key.spki]);
  const letGo = async () => {
    const total = { entries: 0, values: 0, steps: 0 };
    for await (const { entries, values } of goes.letGo()) {
      total.entries += entries;
      total.values += values;
      total.steps += 1;
    }
    return total;
  };
  const audited = async () => {
    const journal = new AuditJournal({
      db: city.ledger.db as unknown as Kysely<CommonTables>,
      name: 'city',
    });
    const entries = await journal.page({ before: Number.MAX_SAFE_INTEGER, limit: 20 });
    return entries.map(({ body, personal }) => ({ ...body, personal })).reverse();
  };

  it('erases whatever is known of a person, tells of it, and the journal stays sound', async () => {
    const [device, other] = [new JournalDevice('lobby'), new JournalDevice('gate')];
    for (let i = 0; i < 1_300; i += 1) {
      const userNumber = i % 2 === 0 ? 'A1' : 'A2';
      device.append(1, { personal: { userNumber, diversifier: `${i}` } });
    }
    other.append(3, { personal: { userNumber: 'A1' } });
    await send(device, 1, 1_000);
    await send(device, 1_001, 1_300, { checkpoints: [await device.checkpoint()] });
    await send(other);
    const about = { field: 'userNumber', values: ['A1'] };
    const entries = new JournalEntries({ db });
    expect((await entries.page({ about }, { limit: 1_000 })).entries).toHaveLength(653);
    const fact = { key: 'at', terminal_id: 'lobby', incarnation: 'one', n: 1, value: '{}' };
    const moment = { at_ms: 1, number: 1, heard: 0 };
    const inGroups = city.ledger.db.selectFrom('group_facts').select('holder_id');
    await city.ledger.db
      .insertInto('group_facts')
      .values(['hanako', 'jiro'].map((holder_id) => ({ holder_id, ...fact, ...moment })))
      .execute();
    const order = { userNumbers: ['A1', 'A9'], holderId: 'hanako', name: 'hanako' };
    expect(await goes.erase(order, taro)).toEqual({ entries: 653, values: 1_303 });
    expect(await goes.erase(order, taro)).toEqual({ entries: 0, values: 0 });
    expect(await inGroups.execute()).toEqual([{ holder_id: 'jiro' }]);
    expect((await entries.page({ about }, { limit: 9 })).entries).toEqual([]);
    const left = await entries.page({ terminal: 'lobby' }, { limit: 2 });
    expect(left.entries.map(({ personal }) => personal)).toEqual([
      { userNumber: 'A2', diversifier: '1299' },
      {},
    ]);
    expect(await verified(device)).toMatchObject({ sound: true, entries: 1_300, checkpoints: 1 });
    expect(await verified(other)).toMatchObject({ sound: true, erased: [{ ranges: [[1, 3]] }] });
    expect((await audited()).slice(-4, -2)).toMatchObject([
      { action: 'journal-erasure-ordered', by: 'taro', personal: { holder: 'hanako' } },
      {
        action: 'journal-erasure-done',
        entries: 653,
        values: 1_303,
        groupFacts: 1,
        personal: { holder: 'hanako' },
      },
    ]);
    // what comes again brings nothing back, and what somebody else erased is found
    await send(other);
    expect((await entries.page({ terminal: 'gate' }, { limit: 1 })).entries[0]?.personal).toEqual({});
    await db.deleteFrom('personal').where('sequence', '=', 2).execute();
    expect(await verified(device)).toMatchObject({
      findings: [{ kind: 'personal-missing', fromSequence: 2, toSequence: 2 }],
    });
  });

  it('lets go of what is older than the rule, keeps the end of each journal, and that stays sound', async () => {
    const [device, quiet] = [new JournalDevice('lobby').append(2_500), new JournalDevice('gate').append(2)];
    await send(quiet);
    await send(device, 1, 1_000, { checkpoints: [await device.checkpoint(900)] });
    await send(device, 1_001, 1_700);
    expect(await letGo()).toEqual({ entries: 0, values: 0, steps: 0 });
    city.clock.advance(10 * dayMs);
    await send(device, 1_701, 2_500, { checkpoints: [await device.checkpoint(2_400)] });
    city.clock.advance(25 * dayMs);
    await goes.setRule({ entries: 30 }, taro);
    expect(await goes.rule()).toEqual({ entries: 30 });
    expect(await letGo()).toEqual({ entries: 1_701, values: 1_701, steps: 5 });
    expect(await letGo()).toMatchObject({ entries: 0 });
    const report = await verified(device);
    expect(report).toMatchObject({ sound: true, entries: 800, checkpoints: 1 });
    expect(report.chains).toMatchObject([{ forgottenThrough: 1_700, lastSequence: 2_500 }]);
    expect(await verified(quiet)).toMatchObject({ sound: true, entries: 1 });
    expect(await audited()).toContainEqual(
      expect.objectContaining({
        action: 'journal-forgotten',
        terminal: 'lobby',
        through: 1_700,
        hash: device.position(1_700).hash,
      }),
    );
    // what is gone here does not come back, and is no rewritten history
    expect(await send(device, 1, 1_000)).toMatchObject({ entries: 0, alarms: [] });
    device.append(1);
    expect(await send(device, 2_501, 2_501)).toMatchObject({ entries: 1, alarms: [] });
    expect(await verified(device)).toMatchObject({ sound: true, entries: 801 });
  });

  it('erases personal values earlier than entries, once for each', async () => {
    const device = new JournalDevice('lobby').append(1_200);
    await send(device, 1, 700);
    city.clock.advance(8 * dayMs);
    await send(device, 701, 1_200);
    await goes.setRule({ personal: 7, entries: 365 }, taro);
    expect(await letGo()).toEqual({ entries: 700, values: 700, steps: 2 });
    expect(await letGo()).toMatchObject({ steps: 0 });
    city.clock.advance(8 * dayMs);
    expect(await letGo()).toMatchObject({ values: 500 });
    expect(await db.selectFrom('erasures').selectAll().execute()).toMatchObject([
      { from_sequence: 1, to_sequence: 1_200 },
    ]);
    expect(await verified(device)).toMatchObject({ sound: true, entries: 1_200 });
    await goes.setRule({}, taro);
    expect(await goes.rule()).toEqual({});
  });

  it('finds an end that was cut off here, and entries that nobody may have let go of', async () => {
    const device = new JournalDevice('lobby').append(20);
    await send(device, 1, 20, { checkpoints: [await device.checkpoint(20)] });
    await db.deleteFrom('entries').where('sequence', '>', 15).execute();
    expect(await verified(device)).toMatchObject({
      sound: false,
      findings: [{ kind: 'end-missing', fromSequence: 16, toSequence: 20 }],
    });
    await db.deleteFrom('entries').where('sequence', '<', 5).execute();
    expect((await verified(device)).findings).toContainEqual(
      expect.objectContaining({ kind: 'entries-missing', fromSequence: 1, toSequence: 4 }),
    );
  });

  it('tells how far each journal is, and what is wrong, page by page', async () => {
    const [device, broken] = [new JournalDevice('lobby').append(5), new JournalDevice('gate').append(9)];
    await send(device, 1, 5, { checkpoints: [await device.checkpoint(4)] });
    await send(broken, 4, 6, { oldestKept: 4 });
    await send(broken.rewritten(5), 5, 9, { oldestKept: 4 });
    const states = await new JournalStates({ db }).list();
    expect(states).toMatchObject([
      { terminal: 'gate', missing: 3, alarms: 3, comparing: true, signedThrough: 0 },
      { terminal: 'lobby', ...device.position(), signedThrough: 4, missing: 0, alarms: 0 },
    ]);
    expect(states[1]?.lastReceivedAtMs).toBe(city.clock.utcMs());
    const entries = new JournalEntries({ db });
    const seen: string[] = [];
    let before: Awaited<ReturnType<JournalEntries['alarms']>>['next'];
    do {
      const page = await entries.alarms({}, { limit: 1, ...(before && { before }) });
      seen.push(...page.alarms.map(({ kind, fromSequence }) => `${kind} ${fromSequence}`));
      before = page.next;
    } while (before);
    expect(seen).toEqual(['chain-broken 6', 'entry-rewritten 5', 'entries-missing 1']);
    expect(await entries.alarms({ terminals: new Set(['lobby']) }, { limit: 9 })).toEqual({ alarms: [] });
  });
});
