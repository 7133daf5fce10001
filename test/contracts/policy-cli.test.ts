import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const main = join(import.meta.dirname, '../../src/cli/main.ts');
let directory: string;
let database: string;

interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function kazasu(...words: readonly string[]): Promise<Run> {
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...words], (error, out, err) => {
      resolve({ code: error ? Number(error.code) : 0, out, err });
    });
  });
}

function write(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

const importFile = (path: string, ...more: readonly string[]) =>
  kazasu('policy', 'import', path, '--database', database, ...more);

const rules = `formatVersion: 1
organization: city
profiles:
  - id: type-a
    userNumberFormat: { alphabet: digits, minimumLength: 8, maximumLength: 8 }
schedules:
  - id: hours
    periods: [{ days: [mon], from: "08:30", to: "19:00" }]
groups: [staff]
doors: [{ id: main }]
permissions: [{ group: staff, door: main, schedule: hours }]
`;
const lines = (count: number) =>
  `user_number,groups,valid_until\n${Array.from({ length: count }, (_, index) => `${String(index).padStart(8, '0')},staff,2027-03-31\n`).join('')}`;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'kazasu-cli-'));
  database = join(directory, 'policy.sqlite');
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('policy import and show', () => {
  test('rules come first, then holders', async () => {
    const list = write('holders.csv', lines(30));
    expect((await importFile(list, '--mode', 'complete')).err).toMatch(/policy-absent/);
    expect((await importFile(write('wrong.yaml', rules.replace('main }', 'mane }')))).err).toMatch(
      /wrong\.yaml:11:\d+: .*"mane"|wrong\.yaml:11:/,
    );
    const installed = await importFile(write('rules.yaml', rules));
    expect(installed).toMatchObject({ code: 0, out: expect.stringContaining('policy version 1') });
    expect((await importFile(list)).err).toMatch(/argument-invalid.*--mode/);
    const dry = await importFile(list, '--mode', 'complete', '--dry-run');
    expect(dry).toMatchObject({ code: 0, out: expect.stringContaining('nothing was applied (dry run)') });
    const done = await importFile(list, '--mode', 'complete', '--json');
    expect(JSON.parse(done.out)).toMatchObject({
      kind: 'installed',
      preview: { added: 30 },
      version: { number: 2 },
    });
    expect(done.err).toBe('');
  });

  test('show tells what a holder opens', async () => {
    const shown = await kazasu('policy', 'show', '--user', '00000007', '--database', database);
    expect(shown.code).toBe(0);
    expect(shown.out).toContain(
      'holder 00000007: active, no beginning, until 2027-04-01 00:00:00 (Asia/Tokyo)',
    );
    expect(shown.out).toContain('door main: in hours (group staff)');
    const asJson = await kazasu('policy', 'show', '--user', '00000007', '--database', database, '--json');
    expect(JSON.parse(asJson.out)).toMatchObject({
      holders: [{ permissions: [{ door: 'main', group: 'staff', schedule: 'hours' }] }],
    });
    expect((await kazasu('policy', 'show', '--user', '7', '--database', database)).code).toBe(1);
  });

  test('rollback goes back to the version before, once somebody confirms how many lose or gain access', async () => {
    const unasked = await kazasu('policy', 'rollback', '--database', database);
    expect(unasked).toMatchObject({ code: 1, out: '' });
    expect(unasked.err).toMatch(/not confirmed: 30 holders, 30 cards; 30 lose access, 0 gain it/);
    const back = await kazasu('policy', 'rollback', '--database', database, '--confirm', '30');
    expect(back).toMatchObject({
      code: 0,
      out: expect.stringContaining('policy version 3 is as the one before'),
    });
    const again = await kazasu('policy', 'rollback', '--database', database, '--confirm', '30', '--json');
    expect(JSON.parse(again.out)).toMatchObject({ version: { number: 4 }, preview: { gainingAccess: 30 } });
  });

  test('every wrong line is told, with a code other than 0, and nothing is applied', async () => {
    const list = write('wrong.csv', 'user_number,groups\n123456789018,staff\n00000001,stuff\n');
    const { code, err, out } = await importFile(list, '--mode', 'complete');
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toMatch(/wrong\.csv:2: user_number has the check digit/);
    expect(err).toMatch(/wrong\.csv:3: group "stuff"/);
    expect(err).toContain('2 problems, nothing was applied');
    expect(err).not.toContain('123456789018');
    const asJson = await importFile(list, '--mode', 'complete', '--json');
    expect(JSON.parse(asJson.out)).toMatchObject({
      error: { fault: 'policy-import-refused', problemCount: 2 },
    });
  });

  test('a mass removal needs the number shown', async () => {
    const list = write('few.csv', lines(5));
    const refused = await importFile(list, '--mode', 'complete');
    expect(refused).toMatchObject({ code: 1, err: expect.stringContaining('--confirm-removal 25') });
    expect((await importFile(list, '--mode', 'complete', '--confirm-removal', '24')).code).toBe(1);
    expect((await importFile(list, '--mode', 'complete', '--confirm-removal', '25')).code).toBe(0);
  });

  test('public holidays come into the policy with the import, which says what years it knows', async () => {
    const withCalendar = rules.replace(
      'schedules:',
      'calendars: [{ id: city, holidays: japan }]\nschedules:',
    );
    const own = join(directory, 'holidays.sqlite');
    const file = write('holidays.yaml', withCalendar);
    const { code, out } = await kazasu('policy', 'import', file, '--database', own, '--json');
    const thisYear = new Date().getUTCFullYear();
    expect({ code, value: JSON.parse(out) }).toMatchObject({
      code: 0,
      value: { version: { number: 1 }, remarks: [expect.stringMatching(`${thisYear - 1} to 20\\d\\d; `)] },
    });
    const told = await kazasu('policy', 'import', file, '--database', own);
    expect(told.out).toMatch(/public holidays of Japan: .* not announced yet, but computed/);
  });

  test('wrong arguments are told as such', async () => {
    expect((await importFile(write('list.txt', ''))).err).toMatch(/argument-invalid/);
    expect((await importFile(join(directory, 'none.csv'), '--mode', 'delta')).err).toMatch(/file-unreadable/);
    expect((await importFile(join(directory, 'none.yaml'))).err).toMatch(/file-unreadable/);
    const help = await kazasu('policy', 'import', '--help');
    expect(help).toMatchObject({ code: 0, out: expect.stringContaining('利用者番号') });
  });
});
