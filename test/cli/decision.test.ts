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
import { recordedDecision, recordedTap } from '#core/access/recorded-tap.ts';
import { Replay } from '#core/access/replay.ts';
import { siteRulesSchema } from '#core/access/site-rules.ts';
import type { Reading } from '#core/card/reading.ts';
import { parseYaml } from '#core/config/yaml-document.ts';
import type { JsonValue } from '#core/journal/record.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { decisionEntry } from '#terminal/tap-entries.ts';
import { kazasu } from './kazasu.ts';

const yaml = `formatVersion: 1
organization: city
profiles: [{ id: type-a, userNumberFormat: { alphabet: digits, minimumLength: 8, maximumLength: 8 } }]
schedules: [{ id: hours, periods: [{ days: [wed, thu], from: "08:30", to: "19:00" }] }]
groups: [staff]
zones: [{ id: street }, { id: lab, passback: { mode: hard } }]
doors: [{ id: front, assurance: [mutual-authentication] }]
permissions: [{ group: staff, door: front, schedule: hours }]
`;
const reading = (userNumber: string): Reading => ({
  organization: 'city',
  profileId: 'type-a',
  method: 'type-a',
  userNumber,
  assurance: ['mutual-authentication', 'message-authentication', 'encryption'],
  timings: { connectUs: 0, selectUs: 0, authenticateUs: 0, authenticateCardUs: 0, readUs: 0, exchanges: 4 },
});
const clock = new SimulatedClock({ utcMs: Date.parse('2026-04-01T09:00:00+09:00') });

let directory: string;
let policy: string;
let journal: string;
let store: JournalStore;
let tapId = 0;

/** Taps as a terminal decides and records them: two holders go in, one of them twice, and one comes out. */
async function record(): Promise<void> {
  const reader = new PolicyReader(policy);
  const replay = new Replay({ terminal: 'gate' });
  const taps = [
    ['00000001', 'in'],
    ['00000001', 'in'],
    ['00000002', 'in'],
    ['00000001', 'out'],
    ['00000009', 'in'],
  ] as const;
  for (const [userNumber, way] of taps) {
    clock.advance(60_000);
    tapId += 1;
    const card = reading(userNumber);
    const zones = way === 'in' ? { from: 'street', to: 'lab' } : { from: 'lab', to: 'street' };
    const at = { doorId: 'front', readerId: way, readerName: way, ...zones };
    const request = { ...at, tapId: String(tapId).padStart(32, '0') };
    const monotonicMs = clock.monotonicUs() / 1_000;
    const time = { utcMs: clock.utcMs(), floorMs: 0, trusted: true, monotonicMs, bootId: clock.bootId() };
    const decision = replay.decide(
      { reading: card, request, time },
      reader.slice({ doorId: 'front', ...card }),
    );
    const presented = {
      tapId: request.tapId,
      readerName: way,
      presentedAtUs: 0,
      outcome: { kind: 'reading' as const, reading: card },
      verifyPin: () => Promise.reject(new Error('no PIN here')),
      end: async () => undefined,
    };
    if (decision.kind === 'needs') throw new Error('no PIN is asked for here');
    const facts = { changes: decision.changes, durable: () => undefined, takeBack: () => undefined };
    const holderId = reader.slice({ doorId: 'front', ...card }).holder?.holderId;
    const result = { kind: 'decided' as const, decision, openByUs: 0, facts, holderId };
    const { facts: _, ...entry } = decisionEntry(at, presented, result);
    const now = { atMs: clock.utcMs(), monotonicUs: clock.monotonicUs(), bootId: clock.bootId() };
    await store.append([{ ...entry, ...now, clock: 'trusted' }]);
  }
  reader.close();
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'kazasu-decision-'));
  policy = join(directory, 'policy.sqlite');
  journal = join(directory, 'journal.sqlite');
  const rules = parseYaml(yaml, 'rules', siteRulesSchema, 'config-invalid');
  const list = join(directory, 'holders.csv');
  writeFileSync(list, 'user_number,holder,groups\n00000001,sato,staff\n00000002,abe,staff\n');
  const installer = new PolicyInstaller({ file: policy });
  await installer.start();
  await installer.installRules(rules, clock.utcMs());
  const rows = readHolderFile({ file: list, encoding: 'utf-8', mode: 'complete', rules });
  const nowMs = clock.utcMs();
  await installer.importHolders({ mode: 'complete', dryRun: false, nowMs, rows, confirm: async () => true });
  await installer.stop();
  const signing = await openDeviceKey(directory);
  store = new JournalStore({ file: journal, terminal: 'gate', signing, clock, reserveMiB: 1 });
  await store.start();
  await record();
});

afterAll(async () => {
  await store.stop();
  rmSync(directory, { recursive: true, force: true });
});

function file(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

describe('decision explain', () => {
  const explain = (...words: readonly string[]) =>
    kazasu('decision', 'explain', ...words, '--journal', journal);

  test('says in both languages which rule denied, and what it used', async () => {
    const english = await explain('2', '--language', 'en');
    expect(english).toMatchObject({ code: 0, err: '' });
    expect(english.out.split('\n')).toEqual(
      expect.arrayContaining([
        '2  2026-04-01 09:02:00  denied',
        'door: front  reader: in  street → lab',
        expect.stringMatching(/^because: .+ \[already-inside\]$/),
        'policy version: 2',
        'assurance the door demanded: mutual-authentication',
        '  permission [permission]: passed  (group=staff, schedule=hours)',
        '  anti-passback [passback]: denied  (at=lab, mode=hard, zone=lab)',
      ]),
    );
    expect((await explain('2')).out).toContain('アンチパスバック [passback]: 拒否');
    expect(english.out).not.toContain('00000001');
  });

  test('finds a tap by its identity, and tells what a grant changed', async () => {
    const { out } = await explain('1'.padStart(32, '0'), '--language', 'en');
    expect(out).toMatch(/granted\n/);
    expect(out).toMatch(/ {2}at \(holder\): \{.*"zone":"lab"/);
  });

  test('says what is not there', async () => {
    expect(await explain('99')).toMatchObject({ code: 1, err: expect.stringContaining('no such entry: 99') });
    expect(await explain('abc')).toMatchObject({
      code: 1,
      err: expect.stringContaining('neither a sequence'),
    });
  });
});

describe('decision replay', () => {
  const replay = (...words: readonly string[]) =>
    kazasu('decision', 'replay', '--journal', journal, ...words);

  test('changes nothing under the policy that was', async () => {
    const { code, out } = await replay('--policy', policy);
    expect([code, out]).toEqual([0, '5 taps: 5 the same, 0 otherwise, 0 decided by no rule, 0 erased\n']);
  });

  test('shows what other rules would change, with facts that follow from them', async () => {
    const without = file('open.yaml', yaml.replace(', passback: { mode: hard }', ''));
    const { out } = await replay('--policy', without, '--holders', policy);
    expect(out.split('\n')).toEqual([
      '      2  2026-04-01 09:02:00  front  already-inside → granted',
      '5 taps: 4 the same, 1 otherwise, 0 decided by no rule, 0 erased',
      '  already-inside → granted: 1',
      '',
    ]);
    const closed = file('closed.yaml', yaml.replace('[wed, thu]', '[sun]'));
    const { out: json } = await replay('--policy', closed, '--holders', policy, '--json');
    expect(JSON.parse(json)).toMatchObject({ taps: 5, same: 1, differences: { length: 4 } });
  });

  test('reports a time alone, though rules remember what was before', async () => {
    const { out } = await replay(
      '--policy',
      policy,
      '--from',
      '2026-04-01 09:02',
      '--to',
      '2026-04-01 09:04',
    );
    expect(out).toBe('2 taps: 2 the same, 0 otherwise, 0 decided by no rule, 0 erased\n');
  });

  test('is refused what it cannot use', async () => {
    expect((await replay('--policy', file('x.yaml', yaml))).err).toContain('name --holders');
    expect((await replay('--policy', policy, '--from', 'noon')).err).toContain('"noon" is no time');
    expect((await replay('--policy', join(directory, 'none.sqlite'))).err).toContain('policy-absent');
  });
});

describe('decision test', () => {
  const run = (expectations: string) =>
    kazasu(
      'decision',
      'test',
      file('expectations.yaml', `formatVersion: 1\nexpectations:\n${expectations}`),
      '--policy',
      policy,
    );

  test('is content with a policy that does what its organization expects', async () => {
    const { code, out } = await run(`
  - { holder: sato, door: front, at: "2026-04-01 12:00", expect: granted }
  - { holder: sato, door: front, at: "2026-04-05 03:00", expect: denied, reason: outside-schedule }
  - { holder: sato, door: front, at: "2026-04-05 03:00", expect: denied }
  - holder: sato
    door: front
    to: lab
    at: "2026-04-01 12:00"
    after: [{ holder: sato, door: front, to: lab, at: "2026-04-01 11:00" }]
    expect: denied
    reason: already-inside
`);
    expect([code, out]).toEqual([0, '4 expectations: 4 met, 0 not\n']);
  });

  test('fails and says which one is not met', async () => {
    const { code, out } = await run(`
  - { holder: sato, door: front, at: "2026-04-05 03:00", expect: granted }
  - { holder: sato, door: front, at: "2026-04-05 03:00", expect: denied, reason: no-permission }
`);
    expect(code).toBe(1);
    expect(out.split('\n')).toEqual([
      '1. holder sato, door front, 2026-04-05 03:00: expected granted, found denied (outside-schedule)',
      '2. holder sato, door front, 2026-04-05 03:00: expected denied (no-permission), found denied (outside-schedule)',
      '2 expectations: 0 met, 2 not',
      '',
    ]);
  });

  test('says what a table has wrong', async () => {
    const bad = await run('  - { holder: nobody, door: front, at: "2026-04-01 12:00", expect: granted }\n');
    expect(bad).toMatchObject({ code: 1, err: expect.stringContaining('knows no holder "nobody"') });
    const when = await run('  - { holder: sato, door: front, at: "noon", expect: granted }\n');
    expect(when.err).toContain('"noon" is no time');
    expect((await run('  - { holder: sato, doors: front }\n')).err).toMatch(/expectations\.yaml:3/);
  });
});

test('a replay knows the conditions of the site and the failures of cards that were recorded', async () => {
  const at = { atMs: clock.utcMs(), monotonicUs: clock.monotonicUs(), bootId: clock.bootId() };
  const told = { ...at, clock: 'trusted' as const };
  const basis = { policyVersion: 2, timeMs: at.atMs, clock: 'trusted', demanded: [], path: [] };
  const card = {
    organization: 'city',
    profile: 'type-a',
    method: 'type-a',
    assurance: ['mutual-authentication', 'message-authentication'],
  };
  const into = { from: 'street', to: 'lab' };
  const denied = (reason: string, way: { readonly [key: string]: string } = {}) => ({
    ...told,
    kind: 'decision' as const,
    tapId: reason.padStart(32, '0'),
    body: { door: 'front', reader: 'gate', result: 'denied', reason, basis, card, ...way },
    personal: { userNumber: '00000002' },
  });
  const granted = (way: { readonly [key: string]: string }) => {
    const { body, ...entry } = denied('granted', way);
    const { reason, ...rest } = body;
    return { ...entry, body: { ...rest, result: 'granted' } };
  };
  const lockdown = (on: boolean) => ({
    ...told,
    kind: 'automation' as const,
    body: { condition: 'lockdown', on },
  });
  const failed = {
    ...told,
    kind: 'decision' as const,
    body: { door: 'front', reader: 'gate', result: 'denied', reason: 'card-refused', basis },
  };
  const command = (kind: string, more: { readonly [key: string]: JsonValue } = {}) => ({
    ...told,
    kind: 'command' as const,
    body: { id: kind, command: kind, via: 'local', outcome: 'done', ...more },
    personal: { issuedBy: 'abe', reason: 'drill', holder: 'abe' },
  });
  await store.append([
    lockdown(true),
    denied('lockdown'),
    lockdown(false),
    command('lockdown', { zones: ['lab'] }),
    denied('lockdown', into),
    command('end-lockdown', { zones: ['lab'], outcome: 'expired' }),
    denied('lockdown', into),
    command('end-lockdown', { zones: ['lab'] }),
    denied('already-inside', into),
    command('reset-position'),
    granted(into),
    command('reset-zone', { zone: 'lab' }),
    granted(into),
    { ...told, kind: 'automation', body: { threatLevel: 2 } },
    denied('clearance-insufficient'),
    { ...told, kind: 'automation', body: { threatLevel: 0 } },
    failed,
    failed,
    denied('locked-out'),
  ]);
  const lockOut = file(
    'lock-out.yaml',
    `${yaml.replace('assurance: [mutual-authentication]', 'assurance: [mutual-authentication], clearance: [{ fromLevel: 2, needs: 1 }]')}lockOut: { reader: { after: 2 } }\n`,
  );
  const { out } = await kazasu(
    ...['decision', 'replay', '--journal', journal, '--policy', lockOut],
    '--holders',
    policy,
  );
  expect(out).toBe('15 taps: 13 the same, 0 otherwise, 2 decided by no rule, 0 erased\n');
});

test('a tap under duress is decided again as one', async () => {
  const at = { atMs: 0, monotonicUs: 0, bootId: 'b', clock: 'trusted' as const };
  const path = [{ rule: 'duress', verdict: 'passed' }];
  const basis = { policyVersion: 2, timeMs: 0, clock: 'trusted', demanded: [], path };
  const card = { organization: 'city', profile: 'type-a', method: 'type-a', assurance: [] };
  const body = { door: 'front', reader: 'in', result: 'granted', basis, card };
  const head = { format: 1, terminal: 'gate', incarnation: 'i', sequence: 1, previous: '' };
  const entry = { ...head, ...at, kind: 'decision' as const, tapId: 't', body, personal: {} };
  const decision = recordedDecision(entry);
  const tap = decision && recordedTap(entry, decision, { userNumber: '00000001' });
  expect(tap).toMatchObject({ request: { duress: true } });
});

test('rules in YAML are tried with public holidays', async () => {
  const calendar = 'calendars: [{ id: city, holidays: japan }]\n';
  const holidays = file('holidays.yaml', calendar + yaml.replace('id: hours,', 'id: hours, calendar: city,'));
  const { out } = await kazasu(
    'decision',
    'replay',
    '--journal',
    journal,
    '--policy',
    holidays,
    '--holders',
    policy,
  );
  expect(out).toContain('11 the same, 2 otherwise');
});

test('a tap that has been erased is counted apart', async () => {
  await store.stop();
  const confirm = async () => true;
  await erasePersonalValues({ file: journal, selection: { sequence: 3 }, clock, confirm });
  const { out } = await kazasu('decision', 'replay', '--journal', journal, '--policy', policy);
  expect(out).toContain(' 2 decided by no rule, 1 erased');
});
