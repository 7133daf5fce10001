import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readHolderFile } from '#adapters/csv/holder-file.ts';
import { detectEncoding, type Encoding } from '#adapters/csv/text-blocks.ts';
import { openDeviceKey } from '#adapters/keyfile/signing.ts';
import { eraseFacts } from '#adapters/sqlite/facts-erasure.ts';
import { JournalReader } from '#adapters/sqlite/journal-reader.ts';
import { JournalStore } from '#adapters/sqlite/journal-store.ts';
import { PolicyInstaller } from '#adapters/sqlite/policy-installer.ts';
import { PolicyStore } from '#adapters/sqlite/policy-store.ts';
import type { ImportMode } from '#core/access/holder-row.ts';
import { rulesOfDoor } from '#core/access/policy.ts';
import { type SiteRules, siteRulesSchema } from '#core/access/site-rules.ts';
import type { ImportOutcome, ImportPreview } from '#ports/policy-install.ts';
import type { ClaimQuery, PolicyQuery } from '#ports/policy-lookup.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';

const rules: SiteRules = siteRulesSchema.parse({
  formatVersion: 1,
  organization: 'city',
  profiles: [
    { id: 'type-a', userNumberFormat: { alphabet: 'digits', minimumLength: 8, maximumLength: 8 } },
    {
      id: 'uni',
      organization: 'university',
      userNumberFormat: { alphabet: 'digits', minimumLength: 8, maximumLength: 8 },
    },
  ],
  schedules: [{ id: 'hours', periods: [{ days: ['mon'], from: '08:30', to: '19:00' }] }],
  groups: ['staff', '清掃'],
  doors: [
    { id: 'main', additional: [{ schedule: 'hours', assurance: ['pin'] }] },
    { id: 'back', assurance: [] },
  ],
  permissions: [
    { group: 'staff', door: 'main' },
    { group: '清掃', door: 'main', schedule: 'hours' },
    { group: 'staff', door: 'back' },
  ],
});
const nowMs = Date.parse('2026-04-01T00:00:00Z');
const header = 'user_number,profile,holder,status,groups,card_status,diversifier\n';

let directory: string;
let file: string;
let journal: string;
let opened: { stop(): Promise<void> }[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'kazasu-policy-'));
  file = join(directory, 'policy.sqlite');
  journal = join(directory, 'journal.sqlite');
  opened = [];
});

afterEach(async () => {
  for (const one of opened) await one.stop();
  rmSync(directory, { recursive: true, force: true });
});

async function started<T extends { start(): Promise<unknown>; stop(): Promise<void> }>(one: T): Promise<T> {
  await one.start();
  opened.push(one);
  return one;
}

const installer = () => started(new PolicyInstaller({ file }));
const store = () => started(new PolicyStore({ file, journal }));
const journalStore = async () =>
  new JournalStore({
    file: journal,
    terminal: 'gate',
    signing: await openDeviceKey(directory),
    clock: new SimulatedClock({ utcMs: nowMs }),
    reserveMiB: 1,
  });
const sliceOf = async (policy: PolicyStore, query: PolicyQuery) => (await policy.lookUp(query)).slice;
const claimedSliceOf = async (policy: PolicyStore, query: ClaimQuery) =>
  (await policy.lookUpClaim(query))?.slice;

async function withRules(): Promise<PolicyInstaller> {
  const made = await installer();
  await made.installRules(rules, nowMs);
  return made;
}

interface ListOptions {
  readonly mode?: ImportMode;
  readonly encoding?: Encoding;
  readonly dryRun?: boolean;
  readonly confirm?: (preview: ImportPreview) => boolean | Promise<boolean>;
}

async function importList(
  made: PolicyInstaller,
  content: string | Uint8Array,
  options: ListOptions = {},
): Promise<ImportOutcome> {
  const { mode = 'complete', dryRun = false, confirm = () => false } = options;
  const list = join(directory, 'holders.csv');
  writeFileSync(list, content);
  const encoding = options.encoding ?? (await detectEncoding(list));
  return made.importHolders({
    mode,
    dryRun,
    nowMs,
    rows: readHolderFile({ file: list, encoding, mode, rules }),
    confirm: async (preview) => confirm(preview),
  });
}

async function installed(
  made: PolicyInstaller,
  content: string,
  options: ListOptions = {},
): Promise<ImportPreview> {
  const outcome = await importList(made, content, options);
  if (outcome.kind !== 'installed') throw new Error(JSON.stringify(outcome));
  return outcome.preview;
}

const query = { doorId: 'main', organization: 'city', profileId: 'type-a', userNumber: '00000001' };
const number = (index: number) => String(index).padStart(8, '0');
const many = (count: number, from = 1) =>
  Array.from({ length: count }, (_, index) => `${number(from + index)},type-a,,,staff,,\n`).join('');

describe('looking up', () => {
  test('rejects with policy-absent until rules are installed, then sees them without a restart', async () => {
    const policy = await store();
    expect(await policy.version()).toBeUndefined();
    await expect(sliceOf(policy, query)).rejects.toMatchObject({ code: 'policy-absent' });
    const made = await installer();
    expect(await policy.version()).toBeUndefined();
    await made.installRules(rules, nowMs);
    const version = { number: 1, organization: 'city', timeZone: 'Asia/Tokyo', installedAtMs: nowMs };
    expect(await policy.version()).toEqual(version);
    expect(await sliceOf(policy, query)).toMatchObject({
      version,
      profileAdmitted: true,
      otherCards: false,
    });
  });

  test('yields what a decision needs and no more', async () => {
    const made = await withRules();
    await installed(made, `${header}00000001,type-a,,,staff;清掃,,\n00000002,type-a,,,staff,,\n`);
    const policy = await store();
    expect(await sliceOf(policy, query)).toEqual({
      version: { number: 2, organization: 'city', timeZone: 'Asia/Tokyo', installedAtMs: nowMs },
      rules: rulesOfDoor(rules, 'main'),
      profileAdmitted: true,
      card: { profileId: 'type-a', userNumber: '00000001', status: 'active' },
      otherCards: false,
      holder: { holderId: '00000001', status: 'active', groups: ['staff', '清掃'] },
    });
    expect(await sliceOf(policy, { ...query, doorId: 'back' })).toMatchObject({
      rules: { door: { id: 'back', assurance: [] }, permissions: [{ group: 'staff' }] },
    });
    const unknownDoor = await sliceOf(policy, { ...query, doorId: 'nowhere' });
    expect(unknownDoor.rules.door).toBeUndefined();
    expect(unknownDoor.rules.permissions).toEqual([]);
  });

  test('knows a holder by organization, profile and user number together', async () => {
    const made = await withRules();
    await installed(made, `${header}00000001,type-a,,,staff,,\n00000001,uni,,,清掃,,\n`);
    const policy = await store();
    const own = await sliceOf(policy, query);
    const other = await sliceOf(policy, { ...query, profileId: 'uni', organization: 'university' });
    expect(own.holder?.holderId).toBe('00000001');
    expect(other.holder?.holderId).toBe('university/00000001');
    // the right profile in the wrong organization's hands
    const stray = await sliceOf(policy, { ...query, organization: 'university' });
    expect(stray).toMatchObject({ profileAdmitted: false });
    expect(stray.card).toBeUndefined();
    expect((await sliceOf(policy, { ...query, userNumber: '1' })).holder).toBeUndefined();
  });

  test('tells a lost card from its replacement', async () => {
    const made = await withRules();
    await installed(
      made,
      `${header}00000001,type-a,,,staff,ended,0A\n00000001,type-a,,,staff,active,0B\n00000002,type-a,,,staff,,\n`,
    );
    const policy = await store();
    const slice = (diversifier?: string, userNumber = '00000001') =>
      sliceOf(policy, { ...query, userNumber, ...(diversifier === undefined ? {} : { diversifier }) });
    expect(await slice('0A')).toMatchObject({ card: { status: 'ended' }, otherCards: true });
    expect(await slice('0B')).toMatchObject({ card: { status: 'active' }, otherCards: true });
    const unlisted = await slice('0C');
    expect(unlisted.card).toBeUndefined();
    expect(unlisted.otherCards).toBe(true);
    // a record without diversifier stands for any card
    expect(await slice('0C', '00000002')).toMatchObject({ card: { status: 'active' }, otherCards: false });
    expect((await slice()).card).toBeUndefined();
  });

  test('knows a card by what it claims to be, unless several could be meant', async () => {
    const made = await withRules();
    const claim = { doorId: 'main', organization: 'city', profileId: 'type-a', diversifier: '0A' };
    const policy = await store();
    expect(await claimedSliceOf(policy, claim)).toBeUndefined();
    await installed(
      made,
      `${header}00000001,type-a,,,staff,ended,0A\n00000001,type-a,,,staff,active,0B\n00000002,type-a,,,staff,,\n00000003,type-a,,,staff,active,0C\n00000004,type-a,,,staff,active,0C\n`,
    );
    for (const diversifier of ['0A', '0B']) {
      const found = await claimedSliceOf(policy, { ...claim, diversifier });
      expect(found).toEqual(await sliceOf(policy, { ...query, diversifier }));
      expect(found?.card).toMatchObject({ userNumber: '00000001', diversifier });
    }
    expect(await claimedSliceOf(policy, { ...claim, diversifier: '0C' })).toBeUndefined();
    expect(await claimedSliceOf(policy, { ...claim, diversifier: '0D' })).toBeUndefined();
    // what stands for any card is nobody's claim
    expect(await claimedSliceOf(policy, { ...claim, diversifier: '' })).toBeUndefined();
    expect(await claimedSliceOf(policy, { ...claim, profileId: 'uni' })).toBeUndefined();
    const stray = await claimedSliceOf(policy, { ...claim, organization: 'university' });
    expect(stray).toMatchObject({ profileAdmitted: false });
    expect(stray?.card).toBeUndefined();
  });

  test('brings the facts of the holder, as a journal has them that may appear later', async () => {
    const made = await withRules();
    await installed(made, `${header}00000001,type-a,h1,,staff,,0A\n00000002,type-a,,,staff,,\n`);
    const policy = await store();
    const factsOf = async (userNumber: string) => (await policy.lookUp({ ...query, userNumber })).facts;
    expect(await factsOf('00000001')).toEqual(new Map());
    const writing = await started(await journalStore());
    const changes = [
      { key: 'inside', holderId: 'h1', value: 'lab' },
      { key: 'count', value: 1 },
    ];
    const entry = { atMs: nowMs, monotonicUs: 1, bootId: 'b', clock: 'trusted' as const, body: {} };
    await writing.append([{ ...entry, kind: 'decision', changes }]);
    const facts = new Map([['inside', 'lab']]);
    expect(await factsOf('00000001')).toEqual(facts);
    expect((await policy.lookUpClaim({ ...query, diversifier: '0A' }))?.facts).toEqual(facts);
    expect(await factsOf('00000002')).toEqual(new Map());
    expect(await factsOf('00000003')).toEqual(new Map());
  });

  test('sees a version whole, old or new, while an import runs', async () => {
    const made = await withRules();
    await installed(made, `${header}${many(100)}`);
    const policy = await store();
    let during: Awaited<ReturnType<typeof sliceOf>> | undefined;
    const gone = `${header}${many(50, 51)}`;
    const outcome = await made.importHolders({
      mode: 'complete',
      dryRun: false,
      nowMs,
      rows: listRows(gone),
      confirm: async () => {
        during = await sliceOf(policy, query);
        return true;
      },
    });
    expect(outcome.kind).toBe('installed');
    expect(during).toMatchObject({ version: { number: 2 }, card: { status: 'active' } });
    const after = await sliceOf(policy, query);
    expect(after.version.number).toBe(3);
    expect(after.card).toBeUndefined();
  });

  test('follows a database that another one takes the place of', async () => {
    const made = await withRules();
    const policy = await store();
    expect(await policy.version()).toMatchObject({ number: 1 });
    await made.stop();
    rmSync(file);
    rmSync(`${file}-wal`, { force: true });
    rmSync(`${file}-shm`, { force: true });
    await expect(sliceOf(policy, query)).rejects.toMatchObject({ code: 'policy-absent' });
    const again = await installer();
    await again.installRules({ ...rules, organization: 'town' }, nowMs);
    expect(await policy.version()).toMatchObject({ organization: 'town' });
  });
});

describe('importing', () => {
  test('says what a list changes', async () => {
    const made = await withRules();
    const first = `${header}00000001,type-a,,,staff,,\n00000002,type-a,,,staff,,\n`;
    expect(await installed(made, first)).toMatchObject({ added: 2, changed: 0, removed: 0, cardsAdded: 2 });
    expect(await installed(made, first)).toMatchObject({
      holdersAfter: 2,
      added: 0,
      changed: 0,
      cardsChanged: 0,
    });
    const second = `${header}00000002,type-a,,停止,staff,停止,\n00000003,type-a,,,staff,,\n`;
    expect(await installed(made, second)).toEqual({
      holdersBefore: 2,
      holdersAfter: 2,
      added: 1,
      changed: 1,
      removed: 1,
      cardsAdded: 1,
      cardsChanged: 1,
      cardsRemoved: 1,
      losingAccess: 2,
      needsConfirmation: false,
    });
  });

  test('as a delta touches only what the list names', async () => {
    const made = await withRules();
    const base = 'user_number,profile,status,valid_until,groups,key_version\n';
    await installed(made, `${base}00000001,type-a,有効,2027-03-31,staff,2\n00000002,type-a,,,staff,\n`);
    const delta = await installed(made, 'user_number,profile,status\n00000001,type-a,停止\n', {
      mode: 'delta',
    });
    expect(delta).toMatchObject({ changed: 1, removed: 0, cardsChanged: 0, holdersAfter: 2 });
    const policy = await store();
    expect(await sliceOf(policy, query)).toMatchObject({
      holder: { status: 'suspended', groups: ['staff'], validUntilMs: Date.parse('2027-04-01T00:00+09:00') },
      card: { keyVersion: 2 },
    });
    await installed(made, 'user_number,profile,valid_until,key_version\n00000001,type-a,none,none\n', {
      mode: 'delta',
    });
    const { holder, card } = await sliceOf(policy, query);
    expect(holder).toEqual({ holderId: '00000001', status: 'suspended', groups: ['staff'] });
    expect(card?.keyVersion).toBeUndefined();
    expect((await sliceOf(policy, { ...query, userNumber: '00000002' })).holder?.status).toBe('active');
  });

  test('as a delta tells who loses the only card to another holder', async () => {
    const made = await withRules();
    await installed(made, `${header}00000001,type-a,one,,staff,,0A\n00000002,type-a,two,,staff,,0B\n`);
    const moved = `${header}00000001,type-a,two,,staff,,0A\n`;
    expect(await installed(made, moved, { mode: 'delta' })).toMatchObject({
      losingAccess: 1,
      cardsChanged: 1,
    });
  });

  test('asks before many lose access, by removal, by status or by groups', async () => {
    const made = await withRules();
    await installed(made, `${header}${many(100)}`);
    let asked: number[] = [];
    const confirm = (preview: ImportPreview) => {
      asked.push(preview.losingAccess);
      return false;
    };
    const refused = { kind: 'not-installed', confirmed: false };
    expect(await importList(made, `${header}${many(89)}`, { confirm })).toMatchObject(refused);
    const suspended = many(100).replaceAll(',,,staff', ',,停止,staff');
    expect(await importList(made, header + suspended, { mode: 'delta', confirm })).toMatchObject(refused);
    expect(await importList(made, header + many(100).replaceAll('staff', ''), { confirm })).toMatchObject(
      refused,
    );
    expect(
      await importList(made, header + many(100).replaceAll('staff,', 'staff,終了'), { confirm }),
    ).toMatchObject(refused);
    expect(asked).toEqual([11, 100, 100, 100]);
    asked = [];
    expect(await installed(made, `${header}${many(90)}`, { confirm })).toMatchObject({ losingAccess: 10 });
    expect(asked).toEqual([]);
    expect(await installed(made, `${header}${many(1)}`, { confirm: () => true })).toMatchObject({
      holdersAfter: 1,
    });
  });

  test('as a dry run changes nothing', async () => {
    const made = await withRules();
    const outcome = await importList(made, `${header}${many(3)}`, { dryRun: true });
    expect(outcome).toMatchObject({ kind: 'not-installed', confirmed: true, preview: { added: 3 } });
    expect(await (await store()).version()).toMatchObject({ number: 1 });
  });

  test('is refused without rules, and by an enrolled terminal', async () => {
    const made = await installer();
    await expect(importList(made, header)).rejects.toMatchObject({ code: 'policy-absent' });
    await made.stop();
    const db = new Database(file);
    db.exec("INSERT INTO settings VALUES ('enrolled', 'true')");
    db.close();
    await expect(new PolicyInstaller({ file }).start()).rejects.toMatchObject({
      code: 'policy-import-refused',
    });
  });

  test('is refused while another import runs', async () => {
    const made = await withRules();
    await installed(made, `${header}${many(100)}`);
    const second = await installer();
    let clash: unknown;
    await importList(made, `${header}${many(50)}`, {
      confirm: async () => {
        clash = await importList(second, header + many(1), { mode: 'delta' }).catch(
          (error: unknown) => error,
        );
        return false;
      },
    });
    expect(clash).toMatchObject({ code: 'database-in-use' });
  });

  test('leaves rules that somebody else installed since, and refuses a list that no longer fits them', async () => {
    const [lists, other] = [await withRules(), await installer()];
    await lists.rules();
    await other.installRules({ ...rules, permissions: [] }, nowMs);
    await installed(lists, `${header}00000001,type-a,sato,,staff,,\n`);
    expect((await other.rules())?.permissions).toEqual([]);

    const cleaning = `${header}00000002,type-a,abe,,清掃,,\n`;
    await other.installRules({ ...rules, groups: ['staff'], permissions: [] }, nowMs);
    await expect(importList(lists, cleaning, { mode: 'delta' })).rejects.toMatchObject({
      code: 'policy-import-refused',
    });
    const policy = await store();
    expect((await sliceOf(policy, { ...query, userNumber: '00000002' })).holder).toBeUndefined();
  });

  test('a policy past its end is not installed, and one in time keeps what its issuer says of its time', async () => {
    const made = await withRules();
    const policy = await store();
    const terms = { freshAtMs: nowMs - 1_000, expiresAtMs: nowMs };
    await expect(made.installRules(rules, nowMs, terms)).rejects.toMatchObject({ code: 'policy-expired' });
    expect(await policy.version()).toMatchObject({ number: 1 });
    expect(await policy.version()).not.toHaveProperty('freshAtMs');
    const last = { ...terms, expiresAtMs: nowMs + 1 };
    expect(await made.installRules(rules, nowMs, last)).toMatchObject({ number: 2, ...last });
    expect((await sliceOf(policy, query)).version).toMatchObject({ number: 2, ...last });
  });

  test('new rules that holders could not live with are refused', async () => {
    const made = await withRules();
    await installed(made, `${header}${many(3)}`);
    const without = { ...rules, groups: ['清掃'], permissions: [] };
    await expect(made.installRules(without, nowMs)).rejects.toThrow(
      /group "staff" is missing, and 3 holders/,
    );
    const shorter = rules.profiles.map((profile) => ({
      ...profile,
      userNumberFormat: { alphabet: 'digits' as const, minimumLength: 6, maximumLength: 7 },
    }));
    await expect(made.installRules({ ...rules, profiles: shorter }, nowMs)).rejects.toThrow(
      /3 cards do not fit/,
    );
    await expect(made.installRules({ ...rules, profiles: rules.profiles.slice(1) }, nowMs)).rejects.toThrow(
      /3 cards have it/,
    );
    expect(await made.installRules({ ...rules, organization: 'town' }, nowMs)).toMatchObject({ number: 3 });
  });
});

describe('going back to the version before', () => {
  const confirm = async () => true;
  const dump = () => {
    const db = new Database(file, { readonly: true });
    try {
      return ['holders', 'cards'].map((table) => db.prepare(`SELECT * FROM ${table}`).all());
    } finally {
      db.close();
    }
  };

  test('puts back what an import added, changed and removed, and can itself be taken back', async () => {
    const made = await withRules();
    await installed(made, `${header}${many(5)}00000009,type-a,h9,,清掃,,0A\n`);
    const before = dump();
    await installed(
      made,
      `${header}${many(3)}00000002,type-a,,,staff,停止,0B\n00000007,type-a,,停止,staff,,\n`,
      {
        confirm: () => true,
      },
    );
    const after = dump();
    const back = await made.rollBack({ nowMs, confirm });
    expect(back).toMatchObject({ version: { number: 4 }, preview: { losingAccess: 0, gainingAccess: 3 } });
    expect(dump()).toEqual(before);
    expect((await sliceOf(await store(), { ...query, userNumber: '00000005' })).version.number).toBe(4);
    await made.rollBack({ nowMs, confirm });
    expect(dump()).toEqual(after);
    await made.rollBack({ nowMs, confirm });
    expect(await installed(made, `${header}00000008,type-a,,,staff,,\n`, { mode: 'delta' })).toMatchObject({
      holdersBefore: 6,
      holdersAfter: 7,
    });
  });

  test('knows what the last import changed alone, also where an earlier one was cut short before it forgot', async () => {
    const rowsKept = (db: InstanceType<typeof Database>) =>
      [0, 1].map((pair) => db.prepare(`SELECT count(*) FROM undo_holders_${pair}`).pluck().get());
    const made = await withRules();
    await installed(made, `${header}${many(5)}`);
    const db = new Database(file);
    db.exec("INSERT INTO undo_holders_0 (holder_id, status, group_list) VALUES ('h3', 'active', 'gone')");
    const before = dump();
    await installed(made, `${header}00000002,type-a,,停止,staff,,\n`, { mode: 'delta' });
    expect(rowsKept(db)).toEqual([1, 0]);
    db.close();
    await made.rollBack({ nowMs, confirm });
    expect(dump()).toEqual(before);
  });

  test('puts back the rules, with the holders as they are', async () => {
    const made = await withRules();
    await installed(made, `${header}${many(2)}`);
    await made.installRules({ ...rules, permissions: [] }, nowMs);
    const kept = dump();
    expect(await made.rollBack({ nowMs, confirm })).toMatchObject({ version: { number: 4 } });
    expect(await made.rules()).toEqual(rules);
    expect(dump()).toEqual(kept);
  });

  describe('after an erasure', () => {
    const erase = async (isErased: (holderId: string) => boolean, yes = true) => {
      const written = await journalStore();
      await written.start();
      await written.stop();
      const clock = new SimulatedClock({ utcMs: nowMs });
      return eraseFacts({ file: journal, policy: file, isErased, clock, confirm: async () => yes });
    };
    const isInFile = (text: string) =>
      ['', '-wal'].some((suffix) => readFileSync(file + suffix).includes(text));

    test('leaves out who has left, of whom the file keeps nothing, and brings back the others', async () => {
      const made = await withRules();
      await installed(
        made,
        `${header}${many(3)}00000044,type-a,left,,staff,,\n00000055,type-a,back,,staff,,\n`,
      );
      await installed(made, `${header}${many(3)}`, { confirm: () => true });
      const present = dump();
      expect(await erase((holderId) => holderId === 'left', false)).toMatchObject({
        values: 2,
        erased: false,
      });
      expect(isInFile('00000044')).toBe(true);
      const done = await erase((holderId) => holderId === 'left');
      expect(done).toEqual({ values: 2, erased: true, logCleared: true });
      expect(['00000044', 'left'].filter(isInFile)).toEqual([]);
      expect(isInFile('00000055')).toBe(true);
      const told = await started(new JournalReader({ file: journal }));
      const [last] = (await told.list({ limit: 9 })).toReversed();
      const body = { event: 'facts-erased', holders: 0, facts: 0, policyRows: 2 };
      expect(last?.entry).toMatchObject({ kind: 'terminal', body });
      await made.rollBack({ nowMs, confirm });
      expect(dump()[0]).toMatchObject([{}, {}, {}, { holder_id: 'back' }]);
      await made.rollBack({ nowMs, confirm });
      expect(dump()).toEqual(present);
    });

    test('leaves who is still there as they are now, without the card they had before', async () => {
      const made = await withRules();
      const one = (card: string, state: string) => `${card},type-a,stays,,staff,${state},\n`;
      await installed(made, `${header}${many(2)}${one('00000044', '')}${one('00000045', '停止')}`);
      await installed(made, `${header}${many(1)}${one('00000045', '')}${one('00000046', '')}`, {
        confirm: () => true,
      });
      await erase((holderId) => holderId === 'stays');
      expect(isInFile('00000044')).toBe(false);
      await made.rollBack({ nowMs, confirm });
      const [holders, cards] = dump();
      expect(holders).toHaveLength(3);
      expect(cards?.slice(2)).toMatchObject([
        { user_number: '00000045', status: 'active' },
        { user_number: '00000046', status: 'active' },
      ]);
    });

    test('reaches rows that a version before left, and what was deleted without any row', async () => {
      const made = await withRules();
      await installed(made, `${header}${many(2)}00000044,type-a,left,,staff,,\n`);
      await installed(made, `${header}${many(2)}`, { confirm: () => true });
      await installed(made, `${header}00000002,type-a,,停止,staff,,\n`, { mode: 'delta' });
      const db = new Database(file);
      db.exec(
        "INSERT INTO undo_cards_0 (profile_id, user_number, diversifier) VALUES ('type-a', '00000077', '')",
      );
      db.close();
      expect(await erase(() => false)).toEqual({ values: 0, erased: false, logCleared: true });
      expect(['00000044', '00000077', 'left'].filter(isInFile)).toEqual([]);
    });
  });

  test('changes nothing unless confirmed, where there is no version before, or where it has expired', async () => {
    const made = await withRules();
    await expect(made.rollBack({ nowMs, confirm })).rejects.toMatchObject({ code: 'policy-absent' });
    await installed(made, `${header}${many(2)}`);
    const before = dump();
    const refused = await made.rollBack({ nowMs, confirm: async () => false });
    expect(refused).toEqual({ preview: { holders: 2, cards: 2, losingAccess: 2, gainingAccess: 0 } });
    expect(dump()).toEqual(before);
    await made.installRules(rules, nowMs, { expiresAtMs: nowMs + 10 });
    await made.installRules(rules, nowMs);
    await expect(made.rollBack({ nowMs: nowMs + 10, confirm })).rejects.toMatchObject({
      code: 'policy-expired',
    });
  });
});

describe('a list that is wrong is refused whole', () => {
  /** Problems as `line: text`, with nothing applied. */
  async function refused(
    content: string | Uint8Array,
    options: ListOptions = {},
  ): Promise<readonly string[]> {
    const made = await withRules();
    await installed(made, `${header}00000099,type-a,,,staff,,\n`);
    const outcome = await importList(made, content, options);
    if (outcome.kind !== 'refused') throw new Error(outcome.kind);
    expect(await (await store()).version()).toMatchObject({ number: 2 });
    expect(outcome.problemCount).toBe(outcome.problems.length);
    return outcome.problems.map(({ line, text }) => `${line}: ${text}`);
  }

  test('with every problem by line', async () => {
    const content = `${header}1,type-a,,,staff,,\n00000001,type-a,,,nobody,,\n00000002,type-a,,maybe,staff,,\n00000003,type-a,,,staff,,\n`;
    const problems = await refused(content);
    expect(problems).toHaveLength(3);
    expect(problems.map((problem) => Number.parseInt(problem, 10))).toEqual([2, 3, 4]);
  });

  test('with the same card twice', async () => {
    const problems = await refused(
      `${header}00000001,type-a,,,staff,,0A\n00000002,type-a,,,staff,,\n00000001,type-a,,,staff,,0a\n`,
    );
    expect(problems).toEqual([expect.stringMatching(/^4: the same card as in line 2/)]);
  });

  test('with a holder who is two things at once', async () => {
    const problems = await refused(`${header}00000001,type-a,p,,staff,,\n00000002,type-a,p,停止,清掃,,\n`);
    expect(problems).toEqual([
      expect.stringMatching(/^3: the same holder as in line 2, but with another status, groups/),
    ]);
  });

  test('with a user number that belongs to another holder', async () => {
    const text = /belongs to another holder/;
    expect(await refused(`${header}00000001,type-a,p,,staff,,0A\n00000001,type-a,q,,staff,,0B\n`)).toEqual([
      expect.stringMatching(text),
      expect.stringMatching(text),
    ]);
    const delta = `${header}00000099,type-a,somebody,,staff,,0A\n`;
    const made = await installer();
    expect(await importList(made, delta, { mode: 'delta' })).toMatchObject({
      kind: 'refused',
      problems: [{ line: 2, text: expect.stringMatching(text) }],
    });
  });

  test('with a quote that is never closed', async () => {
    const problems = await refused(
      `${header}00000001,type-a,,,staff,,\n"00000002,type-a,,,staff,,\n00000003,type-a,,,staff,,\n`,
    );
    expect(problems).toEqual([expect.stringMatching(/quote is opened and never closed/)]);
  });

  test('without a header, or empty', async () => {
    expect(await refused('')).toEqual([expect.stringMatching(/^1: the file has no line/)]);
    const made = await installer();
    expect(await importList(made, '00000001,type-a\n00000002,type-a\n')).toMatchObject({
      kind: 'refused',
      problems: [{ line: 1 }, { line: 1 }],
    });
  });

  test('with a byte that is not in its encoding, with line and character', async () => {
    const good = `${header}00000001,type-a,,有効,清掃,,\n`;
    const bytes = Buffer.concat([
      Buffer.from(`${good}00000002,type-a,,,清`),
      Buffer.from([0xff]),
      Buffer.from(',,\n'),
    ]);
    expect(await refused(bytes)).toEqual([
      '3: the byte FF at character 20 is not utf-8; save the file anew, or name its encoding',
    ]);
    const made = await installer();
    const sjis = Buffer.concat([
      shiftJis(`${header}00000001,type-a,,有効,清掃`),
      Buffer.from([0x81, 0x20, 0x0a]),
    ]);
    expect(await importList(made, sjis)).toMatchObject({
      kind: 'refused',
      problems: [
        { line: 2, text: expect.stringContaining('the byte 81 at character 23 is not windows-31j') },
      ],
    });
    expect(
      await importList(made, `${header}00000001,type-a,,有効,清掃,,\n`, { encoding: 'windows-31j' }),
    ).toMatchObject({
      kind: 'refused',
    });
  });
});

describe('encodings', () => {
  const text = '利用者番号,プロファイル,状態,グループ\r\n00000001,type-a,有効,清掃\r\n\r\n,,,\r\n';

  test.each([
    ['UTF-8', Buffer.from(text)],
    ['UTF-8 with a byte order mark', Buffer.from(`\uFEFF${text}`)],
    ['Windows-31J', shiftJis(text)],
  ])('%s is recognized, blank lines are not rows', async (_, bytes) => {
    const made = await withRules();
    const outcome = await importList(made, bytes);
    expect(outcome).toMatchObject({ kind: 'installed', preview: { added: 1 } });
    expect((await sliceOf(await store(), query)).holder?.groups).toEqual(['清掃']);
  });

  test('a UTF-8 file with one wrong byte is not taken for Windows-31J', async () => {
    const list = join(directory, 'list.csv');
    const lines = Array.from({ length: 20 }, () => '有効\n').join('');
    writeFileSync(list, Buffer.concat([Buffer.from(lines), Buffer.from([0x83, 0x0a])]));
    expect(await detectEncoding(list)).toBe('utf-8');
    await expect(detectEncoding(join(directory, 'absent.csv'))).rejects.toMatchObject({
      code: 'file-unreadable',
    });
  });
});

describe('a database that is not in order', () => {
  test('of a newer version is refused by look-up and import', async () => {
    await (await withRules()).stop();
    const db = new Database(file);
    db.pragma('user_version = 4');
    db.close();
    await expect(new PolicyStore({ file, journal }).start()).rejects.toMatchObject({
      code: 'database-newer',
    });
    await expect(new PolicyInstaller({ file }).start()).rejects.toMatchObject({ code: 'database-newer' });
  });

  test('of an earlier form, or with rules that lack a part, is refused', async () => {
    await (await withRules()).stop();
    const spoil = (sql: string) => {
      const db = new Database(file);
      db.exec(sql);
      db.close();
    };
    const looked = async () => (await store()).lookUp(query);
    spoil("UPDATE policy SET rules = json_remove(rules, '$.doors[0].assurance')");
    await expect(looked()).rejects.toMatchObject({
      code: 'database-invalid',
      message: expect.stringContaining('doors.0.assurance'),
    });
    spoil("UPDATE policy SET rules = 'not json'");
    await expect(looked()).rejects.toMatchObject({ code: 'database-invalid' });
    spoil('PRAGMA user_version = 1');
    await expect(new PolicyInstaller({ file }).start()).rejects.toMatchObject({ code: 'database-invalid' });
  });

  test('of another kind or damaged is refused', async () => {
    const db = new Database(file);
    db.exec('CREATE TABLE something (a)');
    db.close();
    await expect(new PolicyStore({ file, journal }).start()).rejects.toMatchObject({
      code: 'database-invalid',
    });
    await expect(new PolicyInstaller({ file }).start()).rejects.toMatchObject({ code: 'database-invalid' });
    writeFileSync(file, 'no database '.repeat(1000));
    await expect(new PolicyStore({ file, journal }).start()).rejects.toMatchObject({
      code: 'database-invalid',
    });
  });
});

async function* listRows(text: string) {
  const list = join(directory, 'rows.csv');
  writeFileSync(list, text);
  yield* readHolderFile({ file: list, encoding: 'utf-8', mode: 'complete', rules });
}

/** The few characters these tests use, in Windows-31J (JIS X 0208 codes). */
function shiftJis(text: string): Buffer {
  const codes: { readonly [character: string]: number } = {
    利: 0x9798,
    用: 0x9770,
    者: 0x8ed2,
    番: 0x94d4,
    号: 0x8d86,
    状: 0x8ff3,
    態: 0x91d4,
    有: 0x974c,
    効: 0x8cf8,
    清: 0x90b4,
    掃: 0x917c,
    グ: 0x834f,
    ル: 0x838b,
    ー: 0x815b,
    プ: 0x8376,
    ロ: 0x838d,
    フ: 0x8374,
    ァ: 0x8340,
    イ: 0x8343,
  };
  const bytes = [...text].flatMap((character) => {
    const code = codes[character];
    if (code !== undefined) return [code >> 8, code & 0xff];
    const ascii = character.codePointAt(0) ?? 0;
    if (ascii > 0x7f) throw new Error(`no code for ${character}`);
    return [ascii];
  });
  return Buffer.from(bytes);
}
