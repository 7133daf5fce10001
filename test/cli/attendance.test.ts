import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readHolderFile } from '#adapters/csv/holder-file.ts';
import { openDeviceKey } from '#adapters/keyfile/signing.ts';
import { erasePersonalValues } from '#adapters/sqlite/journal-erasure.ts';
import { JournalStore } from '#adapters/sqlite/journal-store.ts';
import { PolicyInstaller } from '#adapters/sqlite/policy-installer.ts';
import { PolicyReader } from '#adapters/sqlite/policy-reader.ts';
import { Replay } from '#core/access/replay.ts';
import { siteRulesSchema } from '#core/access/site-rules.ts';
import type { Reading } from '#core/card/reading.ts';
import { parseYaml } from '#core/config/yaml-document.ts';
import type { JournalRecord } from '#core/journal/record.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { actuationEntry, decisionEntry } from '#terminal/tap-entries.ts';
import { kazasu } from './kazasu.ts';

const yaml = (timeZone: string) => `formatVersion: 1
organization: city
timeZone: ${timeZone}
profiles: [{ id: type-a, userNumberFormat: { alphabet: digits, minimumLength: 8, maximumLength: 8 } }]
groups: [staff]
doors: [{ id: front, assurance: [mutual-authentication] }]
permissions: [{ group: staff, door: front }]
services: [{ id: work, kind: attendance }, { id: lunch, kind: once }]
`;
const holders = 'user_number,holder,groups\n00000001,sato,staff\n00000002,abe,staff\n00000003,mori,staff\n';
const leaver = '00000004,,staff\n';
const clock = new SimulatedClock({ utcMs: Date.parse('2026-03-08T00:00:00+09:00') });
const timings = {
  connectUs: 0,
  selectUs: 0,
  authenticateUs: 0,
  authenticateCardUs: 0,
  readUs: 0,
  exchanges: 4,
};

let directory: string;
let journal: string;
let tokyo: string;
let newYork: string;
let store: JournalStore;
let replay: Replay;
let reader: PolicyReader;
let bootId = 'boot-1';
let taps = 0;

const stamp = (clockState: string): Omit<JournalRecord, 'kind' | 'body'> => ({
  atMs: clock.utcMs(),
  monotonicUs: clock.monotonicUs(),
  bootId,
  clock: clockState as JournalRecord['clock'],
});

/** A tap as a terminal decides and records it. */
async function tap(userNumber: string, how: { readonly trusted?: boolean; readonly stuck?: boolean } = {}) {
  const { trusted = true, stuck = false } = how;
  const reading: Reading = {
    organization: 'city',
    profileId: 'type-a',
    method: 'type-a',
    userNumber,
    assurance: ['mutual-authentication', 'message-authentication', 'encryption'],
    timings,
  };
  taps += 1;
  const at = { doorId: 'front', readerId: 'gate', readerName: 'gate', service: { id: 'work' } };
  const tapId = String(taps).padStart(32, '0');
  const time = {
    utcMs: clock.utcMs(),
    floorMs: 0,
    trusted,
    monotonicMs: clock.monotonicUs() / 1_000,
    bootId,
  };
  const slice = reader.slice({ doorId: 'front', ...reading });
  const decision = replay.decide({ reading, request: { ...at, tapId }, time }, slice);
  if (decision.kind === 'needs') throw new Error('no PIN is asked for here');
  const card = {
    tapId,
    readerName: 'gate',
    presentedAtUs: 0,
    outcome: { kind: 'reading' as const, reading },
    verifyPin: () => Promise.reject(new Error('no PIN here')),
    end: async () => undefined,
  };
  const facts = { changes: decision.changes, durable: () => undefined, takeBack: () => undefined };
  const holderId = slice.holder?.holderId;
  const result = { kind: 'decided' as const, decision, openByUs: 0, facts, holderId };
  const { facts: _, ...entry } = decisionEntry(at, card, result);
  const state = stamp(trusted ? 'trusted' : 'untrusted');
  await store.append([{ ...entry, ...state }]);
  if (!stuck) return;
  const { facts: __, ...failed } = actuationEntry(at, card, { result: 'failed', fault: 'door-failed' });
  await store.append([{ ...failed, ...state }]);
  replay.notPassed(tapId, 'not-opened');
}

/** A command as a terminal records it. */
async function correct(holder: string, is: 'in' | 'out', at?: string) {
  const atMs = at === undefined ? {} : { atMs: Date.parse(at) };
  const body = {
    id: 'c',
    command: 'correct-attendance',
    via: 'local',
    outcome: 'done',
    service: 'work',
    is,
    ...atMs,
  };
  await store.append([
    { kind: 'command', body, personal: { issuedBy: 'root', reason: 'r', holder }, ...stamp('trusted') },
  ]);
}

const until = (moment: string) => clock.advance(Date.parse(moment) - clock.utcMs());

async function install(file: string, timeZone: string, list: string): Promise<void> {
  const rules = parseYaml(yaml(timeZone), 'rules', siteRulesSchema, 'config-invalid');
  const csv = join(directory, 'holders.csv');
  writeFileSync(csv, list);
  const installer = new PolicyInstaller({ file });
  await installer.start();
  await installer.installRules(rules, clock.utcMs());
  const rows = readHolderFile({ file: csv, encoding: 'utf-8', mode: 'complete', rules });
  const nowMs = clock.utcMs();
  const request = { mode: 'complete' as const, dryRun: false, nowMs, rows, confirm: async () => true };
  expect(await installer.importHolders(request)).toMatchObject({ kind: 'installed' });
  await installer.stop();
}

async function record(): Promise<void> {
  until('2026-03-08T15:00+09:00'); // 1:00 in New York, an hour before its clocks jump to 3:00
  await tap('00000003');
  until('2026-03-08T17:00+09:00');
  await tap('00000003');
  until('2026-04-01T08:30+09:00');
  await tap('00000001');
  await tap('00000004');
  clock.advance(60_000);
  bootId = 'boot-2';
  await tap('00000001');
  await tap('00000002', { stuck: true });
  until('2026-04-01T09:00+09:00');
  await tap('00000002');
  until('2026-04-01T17:30+09:00');
  await tap('00000001');
  until('2026-04-01T22:00+09:00');
  await tap('00000003');
  until('2026-04-02T06:00+09:00');
  await tap('00000003', { trusted: false });
  until('2026-04-02T09:00+09:00');
  await tap('00000002');
  await correct('abe', 'out', '2026-04-01T18:00+09:00');
  await correct('abe', 'in', '2026-04-02T09:00+09:00');
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'kazasu-attendance-'));
  journal = join(directory, 'journal.sqlite');
  [tokyo, newYork] = [join(directory, 'tokyo.sqlite'), join(directory, 'new-york.sqlite')];
  await install(tokyo, 'Asia/Tokyo', holders + leaver);
  await install(newYork, 'America/New_York', holders);
  const signing = await openDeviceKey(directory);
  store = new JournalStore({ file: journal, terminal: 'gate', signing, clock, reserveMiB: 1 });
  await store.start();
  reader = new PolicyReader(tokyo);
  replay = new Replay({ terminal: 'gate' });
  await record();
  reader.close();
  await install(tokyo, 'Asia/Tokyo', holders);
});

afterAll(async () => {
  await store.stop();
  rmSync(directory, { recursive: true, force: true });
});

describe('journal attendance', () => {
  const list = (...words: readonly string[]) =>
    kazasu('journal', 'attendance', '--database', journal, '--service', 'work', '--policy', tokyo, ...words);
  const english = async (...words: readonly string[]) =>
    (await list('--language', 'en', ...words)).out.split('\n');

  test('lists the stays of each holder, in the policy’s time, with what wants correcting', async () => {
    expect(await english('--from', '2026-04-01')).toEqual([
      'holder,in,out,minutes,doubles,remarks,entries',
      '00000004,2026-04-01 08:30:00,,,,no out yet; not in the policy,4',
      'abe,2026-04-01 09:00:00,2026-04-01 18:00:00,540,,corrected by command,8 13',
      'abe,2026-04-02 09:00:00,,,,no out yet; corrected by command,14',
      'mori,2026-04-01 22:00:00,2026-04-02 06:00:00?,480,,?: the clock was not known to be right,10 11',
      'sato,2026-04-01 08:30:00,2026-04-01 17:30:00,540,2026-04-01 08:31:00,,3 5 9',
      '',
    ]);
  });

  test('has Japanese headings, counts a night of daylight saving as it was, and lists a stay where it begins', async () => {
    const { out } = await list('--policy', newYork, '--to', '2026-03-08');
    expect(out).toBe(
      '利用者,出勤,退勤,分,重複,備考,ログ番号\nmori,2026-03-08 01:00:00,2026-03-08 04:00:00,120,,,1 2\n',
    );
    expect((await english('--from', '2026-04-02')).slice(1)).toEqual([
      'abe,2026-04-02 09:00:00,,,,no out yet; corrected by command,14',
      '',
    ]);
  });

  test('is JSON for machines', async () => {
    const { out } = await list('--json', '--from', '2026-04-01', '--to', '2026-04-01');
    const { timeZone, stays } = JSON.parse(out);
    expect([timeZone, stays.length]).toEqual(['Asia/Tokyo', 4]);
    expect(stays[2]).toEqual({
      holder: 'mori',
      inMs: Date.parse('2026-04-01T22:00+09:00'),
      outMs: Date.parse('2026-04-02T06:00+09:00'),
      minutes: 480,
      doublesMs: [],
      remarks: ['clock-unknown'],
      entries: [10, 11],
      uncertain: ['out'],
    });
  });

  test('is refused what it cannot use', async () => {
    expect((await list('--service', 'lunch')).err).toContain('no attendance service "lunch"; it has work');
    expect((await list('--from', 'noon')).err).toContain('"noon" is no time');
    expect((await list('--policy', join(directory, 'none.sqlite'))).err).toContain('policy-absent');
  });

  test('shows what was lawfully erased as erased', async () => {
    await store.stop();
    for (const sequence of [3, 13]) {
      await erasePersonalValues({ file: journal, selection: { sequence }, clock, confirm: async () => true });
    }
    const lines = await english('--from', '2026-04-01', '--to', '2026-04-01');
    expect(lines.slice(-3)).toEqual([
      '(erased),2026-04-01 08:30:00,,,,erased,3',
      '(erased),,2026-04-01 18:00:00,,,erased; corrected by command,13',
      '',
    ]);
    expect(lines).toContain('sato,,2026-04-01 08:31:00,,,in is missing: to be corrected,5');
  });
});
