import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openDeviceKey } from '#adapters/keyfile/signing.ts';
import { JournalStore } from '#adapters/sqlite/journal-store.ts';
import { PolicyInstaller } from '#adapters/sqlite/policy-installer.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { kazasu, refusal, refusalDocument } from './kazasu.ts';

let folder: string;
let at: (name: string) => string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kazasu-cli-'));
  at = (name) => join(folder, name);
  mkdirSync(at('folder'));
  mkdirSync(at('folder.csv'));
  mkdirSync(at('folder.yaml'));
  writeFileSync(at('empty'), '');
  writeFileSync(at('empty.yaml'), '');
  writeFileSync(at('text'), 'no database '.repeat(1_000));
  writeFileSync(at('list.csv'), 'user_number,groups\n');
  writeFileSync(
    at('rules.yaml'),
    'formatVersion: 1\norganization: o\nprofiles: [{ id: c, userNumberFormat: { alphabet: digits, minimumLength: 8, maximumLength: 8 } }]\ngroups: []\ndoors: [{ id: main }]\npermissions: []\n',
  );
  writeFileSync(at('long.csv'), 'a'.repeat(100_000));
  const clock = new SimulatedClock({ utcMs: Date.parse('2026-04-01T00:00:00Z') });
  const signing = await openDeviceKey(folder);
  const store = new JournalStore({
    file: at('journal.sqlite'),
    terminal: 'gate',
    signing,
    clock,
    reserveMiB: 2,
  });
  await store.start();
  await store.stop();
  const installer = new PolicyInstaller({ file: at('policy.sqlite') });
  await installer.start();
  await installer.stop();
  for (const name of ['journal', 'policy']) {
    copyFileSync(at(`${name}.sqlite`), at(`newer-${name}.sqlite`));
    const db = new Database(at(`newer-${name}.sqlite`));
    db.pragma('journal_mode = DELETE');
    db.pragma('user_version = 99');
    db.close();
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const onJournal = (file: string): readonly (readonly string[])[] => [
  ['journal', 'list', '--database', file],
  ['journal', 'head', '--database', file],
  ['journal', 'verify', '--database', file],
  ['journal', 'export', '--database', file, '--out', at('export.jsonl')],
  ['journal', 'erase', '--database', file, '--before', '2026-01-01'],
];
const onPolicy = (file: string): readonly (readonly string[])[] => [
  ['policy', 'show', '--user', 'A', '--database', file],
  ['policy', 'import', at('list.csv'), '--mode', 'complete', '--database', file],
];

describe('a database of a newer version', () => {
  test.each(['journal', 'policy'])('is refused by every command and stays as it is: %s', async (name) => {
    const file = at(`newer-${name}.sqlite`);
    const before = readFileSync(file);
    const all = name === 'journal' ? onJournal(file) : onPolicy(file);
    expect(await refusalDocument(...(all[0] ?? []))).toMatchObject({ fault: 'database-newer' });
    for (const words of all) {
      expect(await refusal(...words), words.join(' ')).toMatch(
        /^kazasu: database-newer: .*; update the program\n$/,
      );
    }
    expect(readFileSync(file).equals(before)).toBe(true);
    expect(readdirSync(folder)).not.toContain('export.jsonl');
  });
});

describe('one line says what is wrong with', () => {
  const cases: readonly (readonly [string, () => readonly (readonly string[])[], RegExp])[] = [
    ['a journal that is not there', () => onJournal(at('none')), /file-unreadable: .*does not exist/],
    [
      'a policy that is not there',
      () => [onPolicy(at('none'))[0] ?? []],
      /file-unreadable: .*does not exist/,
    ],
    [
      'a folder for a database',
      () => [...onJournal(at('folder')).slice(0, 4), ...onPolicy(at('folder'))],
      /file-unreadable: /,
    ],
    [
      'text for a database',
      () => [...onJournal(at('text')).slice(0, 4), ...onPolicy(at('text'))],
      /database-invalid: /,
    ],
    [
      'an empty journal file',
      () => onJournal(at('empty')).slice(0, 4),
      /database-invalid: |file-unreadable: /,
    ],
    [
      'the other kind of database',
      () => [...onJournal(at('policy.sqlite')), ...onPolicy(at('journal.sqlite'))],
      /database-invalid: /,
    ],
    [
      'a database in a folder that does not exist',
      () => [
        ['policy', 'import', at('rules.yaml'), '--database', at('no/policy.sqlite')],
        ...onJournal(at('no/journal.sqlite')),
      ],
      /file-unreadable: .*does not exist/,
    ],
    [
      'a folder for a file',
      () => [
        ['policy', 'import', at('folder.csv'), '--mode', 'delta', '--database', at('policy.sqlite')],
        ['policy', 'import', at('folder.yaml'), '--database', at('policy.sqlite')],
        ['config', 'check', at('folder')],
        ['config', 'parameters', at('folder')],
        ['journal', 'verify', '--export', at('folder')],
        ['terminal', 'run', '--config', at('folder')],
        ['door', 'lock', '--config', at('folder')],
      ],
      /file-unreadable: .*it is a folder/,
    ],
    [
      'an empty file',
      () => [
        ['config', 'check', at('empty.yaml')],
        ['config', 'parameters', at('empty.yaml')],
        ['policy', 'import', at('empty.yaml'), '--database', at('policy.sqlite')],
      ],
      /:1:1: the file is empty/,
    ],
    [
      'an export that is none',
      () => [at('empty'), at('text')].map((file) => ['journal', 'verify', '--export', file]),
      /file-unreadable: .*no journal export/,
    ],
    [
      'a place where nothing can be written',
      () => [['journal', 'export', '--database', at('journal.sqlite'), '--out', at('no/export.jsonl')]],
      /cannot be written: its folder does not exist/,
    ],
    [
      'a head that is none',
      () =>
        ['3', at('list.csv')].map((head) => [
          'journal',
          'verify',
          '--database',
          at('journal.sqlite'),
          '--head',
          head,
        ]),
      /argument-invalid: .*neither SEQUENCE:HASH nor a file with a head/,
    ],
    [
      'an entry that is not there',
      () => [['journal', 'erase', '--database', at('journal.sqlite'), '--sequence', '99']],
      /argument-invalid: the journal has no entry 99/,
    ],
  ];

  test.each(cases)('%s', async (_, commands, message) => {
    const all = commands();
    const said = await Promise.all(all.map((words) => refusal(...words)));
    for (const [index, text] of said.entries()) {
      expect(text, all[index]?.join(' ')).toMatch(message);
      expect(text.trimEnd().split('\n'), all[index]?.join(' ')).toHaveLength(1);
    }
    expect((await refusalDocument(...(all[0] ?? []))).message).not.toBe('');
  });

  test('a line too long to be a list', async () => {
    const database = at('ruled.sqlite');
    expect((await kazasu('policy', 'import', at('rules.yaml'), '--database', database)).code).toBe(0);
    expect(
      await refusal('policy', 'import', at('long.csv'), '--mode', 'delta', '--database', database),
    ).toMatch(/file-unreadable: .*more than 65536 bytes; it is no list/);
  });
});

test('a file without permission says so', async () => {
  chmodSync(at('list.csv'), 0);
  expect(await refusal('config', 'check', at('list.csv'))).toMatch(/no permission/);
});
