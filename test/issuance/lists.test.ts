import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readHolderFile } from '#adapters/csv/holder-file.ts';
import { readHolderLines } from '#adapters/csv/holder-lines.ts';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { DistributionFeed } from '#issuance/permissions/distribution-feed.ts';
import { DueChanges } from '#issuance/permissions/due-changes.ts';
import { holderList } from '#issuance/permissions/holder-export.ts';
import { Holders } from '#issuance/permissions/holders.ts';
import { type ImportRequest, ImportRequests } from '#issuance/permissions/import-requests.ts';
import { type ListFiles, Stopped } from '#issuance/permissions/import-run.ts';
import { ListComparison, rowsAtOnce } from '#issuance/permissions/list-comparison.ts';
import { ListImporter } from '#issuance/permissions/list-importer.ts';
import { RulesVersions } from '#issuance/permissions/rules-versions.ts';
import { databaseRigs, type StartedRig } from './database-rigs.ts';
import { commissioner, makeOrganization, rulesDocument } from './organization-bench.ts';

const header = 'user_number,holder,status,groups';
const people = (count: number, from = 0) =>
  Array.from(
    { length: count },
    (_, index) => `USER${1000 + from + index},p${1000 + from + index},active,staff`,
  );

describe.each(databaseRigs)('lists of holders on $name', ({ start }) => {
  let rig: StartedRig;
  let folder: string;
  let city: Awaited<ReturnType<typeof makeOrganization>>;
  let lists: ImportRequests;
  let holders: Holders;
  let feed: DistributionFeed;
  let missing = new Set<string>();

  beforeAll(async () => {
    rig = await start();
    folder = mkdtempSync(join(tmpdir(), 'kazasu-lists-'));
    city = await makeOrganization(rig, 'city');
    const { ledger } = city;
    lists = new ImportRequests({ ledger, entropy: new SystemEntropy() });
    holders = new Holders({ ledger });
    feed = new DistributionFeed({ db: ledger.db });
    await new RulesVersions({ organization: 'city', ledger }).make({ document: rulesDocument }, commissioner);
  });
  afterAll(async () => {
    await city.databases.stop();
    await rig.stop();
    rmSync(folder, { recursive: true });
  });
  beforeEach(async () => {
    const { db } = city.ledger;
    for (const table of [
      'holders',
      'cards',
      'holder_suspensions',
      'card_suspensions',
      'removed_holders',
      'imports',
      'import_rows',
    ] as const) {
      await db.deleteFrom(table).execute();
    }
    await db.deleteFrom('change_sets').execute();
    await db.deleteFrom('planned_changes').execute();
    missing = new Set();
  });

  const importer = (pause = async () => {}, files: Partial<ListFiles> = {}) =>
    new ListImporter({
      ledger: city.ledger,
      clock: city.clock,
      pause,
      files: {
        has: async (id) => !missing.has(id),
        names: async () => readdirSync(folder).map((id) => ({ id, abandoned: id === 'abandoned' })),
        rows: (id, { mode, format }, rules, progress) => {
          const parts = { file: join(folder, id), mode, rules, progress };
          return format === 'csv' ? readHolderFile({ ...parts, encoding: 'utf-8' }) : readHolderLines(parts);
        },
        remove: async (id) => rmSync(join(folder, id), { force: true }),
        ...files,
      },
    });
  const send = async (text: string, request: Partial<ImportRequest> = {}) => {
    const id = lists.newId();
    writeFileSync(join(folder, id), text);
    const whole = { mode: 'delta', format: 'csv', goodLines: false, ...request } as const;
    await lists.receive(id, whole, commissioner);
    return id;
  };
  const read = async (lines: readonly string[], request: Partial<ImportRequest> = {}) => {
    const id = await send(`${lines.join('\n')}\n`, request);
    await importer().work();
    const list = await lists.find(id);
    if (!list) throw new Error('the list is gone');
    return list;
  };
  const settle = async (atMs = city.clock.utcMs()) => {
    const due = new DueChanges({ ledger: city.ledger });
    while (await due.step(atMs)) {
      // until nothing is due
    }
  };
  const apply = async (lines: readonly string[], request: Partial<ImportRequest> = {}) => {
    const { id, report } = await read(lines, request);
    const decided = await lists.decide(id, report.preview?.losingAccess, commissioner);
    expect(decided).toEqual({ kind: 'decided' });
    await settle();
    return id;
  };
  const ids = async () => (await feed.page('', 1_000)).map(({ holderId }) => holderId);
  const leftOver = async () => {
    const { rows } = await city.ledger.db
      .selectFrom('import_rows')
      .select((column) => column.fn.countAll().as('rows'))
      .executeTakeFirstOrThrow();
    return Number(rows);
  };

  const planned = async (id: string) => {
    const { rows } = await city.ledger.db
      .selectFrom('planned_changes')
      .select((column) => column.fn.countAll().as('rows'))
      .where('change_set_id', '=', id)
      .executeTakeFirstOrThrow();
    return Number(rows);
  };

  it('tell what they would change, and change nothing before that is decided', async () => {
    const list = await read([header, ...people(450)], { mode: 'complete' });
    expect(list.state).toBe('ready');
    expect(list.report.preview).toMatchObject({ added: 450, cardsAdded: 450, holdersAfter: 450 });
    expect([await ids(), await leftOver()]).toEqual([[], 0]);
    await lists.decide(list.id, undefined, commissioner);
    await settle();
    expect((await ids()).length).toBe(450);
    expect((await lists.decide(list.id, undefined, commissioner)).kind).toBe('changed-meanwhile');
  });

  it('are applied whole or not at all, with everything wrong by line', async () => {
    const list = await read([
      header,
      ...people(3),
      'USER1000,other,active,staff',
      'USER1001,p1001,suspended,staff',
      'user,p9,active,staff',
      'USER2000,p2000,gone,nobody',
    ]);
    expect(list.state).toBe('refused');
    expect(list.report.problems.map(({ line }) => line)).toEqual([5, 5, 6, 7, 8, 8]);
    expect(JSON.stringify(list.report)).not.toMatch(/USER\d/);
    expect((await lists.decide(list.id, undefined, commissioner)).kind).toBe('changed-meanwhile');
    await settle();
    expect(await ids()).toEqual([]);
  });

  it('as a delta may apply their good lines alone, when asked', async () => {
    await apply(
      [header, ...people(2), 'USER1000,other,active,staff', 'user,p9,active,staff', 'USER3000,p3,,staff'],
      { goodLines: true },
    );
    // of a card that two holders claim nobody gets it
    expect(await ids()).toEqual(['p1001', 'p3']);
  });

  it('that are complete remove whoever is missing, which many must be confirmed', async () => {
    await apply([header, ...people(40)], { mode: 'complete' });
    const { id, report } = await read([header, ...people(20), ...people(1, 100)], { mode: 'complete' });
    expect(report.preview).toMatchObject({
      added: 1,
      changed: 0,
      removed: 20,
      losingAccess: 20,
      needsConfirmation: true,
    });
    expect(await lists.decide(id, undefined, commissioner)).toEqual({
      kind: 'confirmation-missing',
      losingAccess: 20,
    });
    expect((await lists.decide(id, 19, commissioner)).kind).toBe('confirmation-missing');
    expect((await lists.decide(id, 20, commissioner)).kind).toBe('decided');
    const before = await feed.changeNumber();
    await settle();
    expect(await ids()).toHaveLength(21);
    expect((await feed.changesSince(before, 100)).removed).toHaveLength(20);
  });

  it('as a delta leave what they do not say', async () => {
    await apply([`${header},card_status,key_version`, 'USER1000,taro,active,staff;annex,active,3']);
    const id = await apply(['user_number,holder,status', 'USER1000,taro,ended']);
    const [taro] = await feed.page('', 1);
    expect(taro).toMatchObject({ status: 'ended', groups: ['annex', 'staff'], cards: [{ keyVersion: 3 }] });
    expect((await lists.find(id))?.report.preview).toMatchObject({ changed: 1, losingAccess: 1 });
  });

  it('as a delta give a card to another holder, who had it loses it', async () => {
    await apply([header, 'USER1000,old,active,staff']);
    await apply([header, 'USER1000,new,active,staff']);
    const held = (await feed.page('', 9)).map(({ holderId, cards }) => [holderId, cards.length]);
    expect(held).toEqual([
      ['new', 1],
      ['old', 0],
    ]);
  });

  it('never lift what an administrator has suspended, before or while they are read', async () => {
    await apply([header, ...people(3)]);
    await holders.suspend('p1000', 'inquiry', commissioner);
    const { id, report } = await read([header, ...people(3).map((line) => line.replace('staff', 'annex'))]);
    expect(report.preview).toMatchObject({ staySuspended: 1, changed: 3 });
    await lists.decide(id, undefined, commissioner);
    await holders.suspend('p1001', 'inquiry', commissioner);
    await settle();
    const shown = (await feed.page('', 9)).map(({ status, groups }) => [status, ...groups]);
    expect(shown).toEqual([
      ['suspended', 'annex'],
      ['suspended', 'annex'],
      ['active', 'annex'],
    ]);
  });

  it.each(['complete', 'delta'] as const)(
    'that are %s lift nothing by giving a card of a suspended holder to another',
    async (mode) => {
      await apply([header, 'USER1000,old,active,staff']);
      await holders.suspend('old', 'inquiry', commissioner);
      const id = await apply([header, 'USER1000,new,active,staff'], { mode });
      expect((await lists.find(id))?.report.preview).toMatchObject({ staySuspended: 1 });
      const found = (await feed.page('', 9)).find(({ holderId }) => holderId === 'new');
      expect(found).toMatchObject({ status: 'active', cards: [{ status: 'suspended' }] });
    },
  );

  it('let urgent changes pass between any two of their steps', async () => {
    await apply([header, ...people(1)]);
    let passed = 0;
    const id = await send([header, ...people(900, 1)].join('\n'));
    await importer(async () => {
      await holders.suspend('p1000', `urgent ${passed}`, commissioner);
      passed += 1;
    }).work();
    expect(passed).toBeGreaterThan(8);
    expect((await lists.find(id))?.state).toBe('ready');
  });

  it('begin anew after a crash', async () => {
    const id = await send([header, ...people(700)].join('\n'));
    let steps = 0;
    const cut = importer(async () => {
      steps += 1;
      if (steps === 2) throw new Stopped();
    });
    await expect(cut.work()).rejects.toThrow(Stopped);
    expect((await lists.find(id))?.state).toBe('working');
    const again = importer();
    expect(await again.work()).toBe(false);
    await again.recover();
    expect(await again.work()).toBe(true);
    expect((await lists.find(id))?.report).toMatchObject({ lines: 700, preview: { added: 700 } });
    expect(await leftOver()).toBe(0);
  });

  it('that cannot be read to their end are refused, and not taken up again', async () => {
    const id = await send('x'.repeat(400_000), { format: 'ndjson' });
    expect(await importer().work()).toBe(true);
    const list = await lists.find(id);
    expect(list).toMatchObject({ state: 'refused', report: { problemCount: 1 } });
    expect(list?.report.problems[0]?.text).toContain('line of more than 65536 bytes');
    expect(await importer().work()).toBe(false);
  });

  it('that meet a bug do so once', async () => {
    const id = await send(header);
    const broken = importer(async () => {}, {
      // biome-ignore lint/correctness/useYield: it breaks before it could
      async *rows() {
        throw new RangeError('a bug');
      },
    });
    await expect(broken.work()).rejects.toThrow('a bug');
    expect(await lists.find(id)).toMatchObject({ state: 'refused', changeSetId: id });
    const again = importer();
    await again.recover();
    expect(await again.work()).toBe(false);
  });

  it('that give many cards to others do it in portions, as a statement takes no more values than so many', async () => {
    const count = rowsAtOnce * 2 + 50;
    await apply([header, ...people(count)]);
    const id = await send([header, ...people(count).map((line) => line.replace(',p', ',q'))].join('\n'));
    // cut off where all lines are staged
    let staged = 0;
    const cut = importer(async () => {
      staged += 1;
      if (staged === 3) throw new Stopped();
    });
    await expect(cut.work()).rejects.toThrow(Stopped);
    const portions: number[] = [];
    const comparison = new ListComparison({ db: city.ledger.db, id, mode: 'delta' });
    for await (const { planned } of comparison.changes()) portions.push(planned.length);
    expect(Math.max(...portions)).toBe(rowsAtOnce);
    expect(portions.reduce((sum, length) => sum + length)).toBe(2 * count);
  });

  it('may be given up while they are worked on', async () => {
    const id = await send([header, ...people(900)].join('\n'));
    let steps = 0;
    const work = importer(async () => {
      steps += 1;
      if (steps === 2) expect(await lists.cancel(id, commissioner)).toBe(true);
      // the report is due
      city.clock.advance(2_000);
    }).work();
    expect(await work).toBe(true);
    expect(steps).toBeLessThan(8);
    expect((await lists.find(id))?.state).toBe('cancelled');
    expect([await leftOver(), await planned(id), existsSync(join(folder, id))]).toEqual([0, 0, false]);
  });

  it('that are given up leave nothing behind, nor does an upload that broke off', async () => {
    const waiting = await send([header, ...people(3)].join('\n'));
    await lists.cancel(waiting, commissioner);
    const ready = (await read([header, ...people(3)])).id;
    expect(await planned(ready)).toBe(3);
    await lists.cancel(ready, commissioner);
    writeFileSync(join(folder, 'abandoned'), '');
    writeFileSync(join(folder, 'on-its-way'), '');
    await importer().work();
    const left = ['abandoned', 'on-its-way', waiting].map((name) => existsSync(join(folder, name)));
    expect(left).toEqual([false, true, false]);
    expect(await planned(ready)).toBe(0);
  });

  it('whose file another process has are left to it', async () => {
    const id = await send(header);
    missing.add(id);
    expect(await importer().work()).toBe(false);
    expect(await lists.cancel(id, commissioner)).toBe(true);
    expect(await lists.cancel(id, commissioner)).toBe(false);
    missing.clear();
    expect(await importer().work()).toBe(false);
  });

  it('for a day to come are in force then', async () => {
    const april1 = city.clock.utcMs() + 86_400_000;
    await apply([header, ...people(2)]);
    await apply([header, 'USER1000,p1000,active,annex'], { inForceFromMs: april1 });
    expect((await feed.page('', 1))[0]?.groups).toEqual(['staff']);
    await settle(april1);
    expect((await feed.page('', 1))[0]?.groups).toEqual(['annex']);
  });

  it('may be JSON, a line each', async () => {
    const lines = [
      { user_number: 'USER1000', holder: 'taro', groups: ['staff', 'annex'], key_version: 2 },
      { user_number: 'USER1001', groups: [], valid_until: null },
    ];
    await apply(
      lines.map((line) => JSON.stringify(line)),
      { format: 'ndjson', mode: 'complete' },
    );
    expect(await ids()).toEqual(['USER1001', 'taro']);
    const wrong = ['{"user_number": 12345678}', '[]', 'x', '{"user_number":"USER1000","name":"x"}'];
    const list = await read(wrong, { format: 'ndjson' });
    expect(list.report.problems.map(({ line }) => line)).toEqual([1, 2, 3, 4]);
  });

  it('come out as they went in', async () => {
    await apply(
      [
        `${header},valid_until,diversifier`,
        'USER1000,taro,suspended,staff;annex,2027-03-31,AABB',
        'USER1000,taro,suspended,staff;annex,2027-03-31,CCDD',
        'USER1001,,active,cleaning,,',
      ],
      { mode: 'complete' },
    );
    let text = '';
    for await (const part of holderList(feed)) text += part;
    const list = await read(text.trimEnd().split('\n'), { mode: 'complete' });
    expect(list.report).toMatchObject({
      lines: 3,
      preview: { added: 0, changed: 0, removed: 0, cardsChanged: 0 },
    });
  });
});
