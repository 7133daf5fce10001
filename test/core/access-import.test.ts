import { describe, expect, test } from 'vitest';
import { readHeader } from '#core/access/holder-columns.ts';
import { parseLimit } from '#core/access/holder-dates.ts';
import { HolderRowReader } from '#core/access/holder-import.ts';
import type { ImportMode } from '#core/access/holder-row.ts';
import { type SiteRules, siteRulesSchema } from '#core/access/site-rules.ts';
import { parseYaml } from '#core/config/yaml-document.ts';
import { Fault } from '#core/fault.ts';

const yaml = `
formatVersion: 1
organization: city
profiles:
  - id: type-a
    userNumberFormat: { alphabet: uppercase-alphanumeric, minimumLength: 8, maximumLength: 13 }
  - id: university-card
    organization: university
    userNumberFormat: { alphabet: digits, minimumLength: 8, maximumLength: 8 }
schedules:
  - id: office-hours
    periods: [{ days: [mon, fri], from: "08:30", to: "24:00" }]
groups: [staff, 清掃]
doors:
  - id: main
    additional: [{ schedule: office-hours, assurance: [pin] }]
  - id: library
    assurance: []
permissions:
  - { group: staff, door: main }
  - { group: 清掃, door: main, schedule: office-hours }
`;
const parse = (text: string) => parseYaml(text, 'rules.yaml', siteRulesSchema, 'policy-import-refused');
const rules: SiteRules = parse(yaml);
const allColumns =
  'user_number,profile,holder,status,valid_from,valid_until,groups,card_status,key_version,diversifier';

/** Reads one line below a header. */
function read(header: string, line: string, mode: ImportMode = 'complete', site = rules) {
  const columns = readHeader(1, header.split(','), { mode: 'delta', profiles: 1 });
  if ('problems' in columns) throw new Error(columns.problems.map((problem) => problem.text).join('\n'));
  return new HolderRowReader({ columns: columns.columns, mode, rules: site }).read(2, line.split(','));
}

function problems(header: string, line: string, mode: ImportMode = 'complete'): readonly string[] {
  const result = read(header, line, mode);
  return 'holderId' in result ? [] : result.map((problem) => problem.text);
}

const at = (text: string) => Date.parse(text);

describe('the rules of a site', () => {
  test('have defaults: Japanese time, own organization, mutual authentication', () => {
    expect(rules.timeZone).toBe('Asia/Tokyo');
    expect(rules.profiles.map((profile) => profile.organization)).toEqual(['city', 'university']);
    expect(rules.doors[0]?.assurance).toEqual(['mutual-authentication', 'message-authentication']);
    expect(rules.doors[1]?.assurance).toEqual([]);
    expect(rules.schedules[0]?.periods[0]).toEqual({ days: ['mon', 'fri'], fromMinute: 510, toMinute: 1440 });
  });

  const wrong: readonly (readonly [string, string, string, RegExp])[] = [
    ['unknown key', 'groups: [staff', 'colour: red\ngroups: [staff', /unknown key "colour"/],
    ['newer format', 'formatVersion: 1', 'formatVersion: 2', /:2:.*newer program/],
    ['unknown time zone', 'organization: city', 'organization: city\ntimeZone: Asia/Edo', /:4:.*IANA/],
    [
      '12 digits only',
      'alphabet: digits, minimumLength: 8, maximumLength: 8',
      'alphabet: digits, minimumLength: 12, maximumLength: 12',
      /:9:.*Individual Number/,
    ],
    ['period over midnight', '"08:30", to: "24:00"', '"22:00", to: "06:00"', /:12:.*as two/],
    ['no time', '"08:30"', '"8:30"', /must be a time/],
    ['unknown day', '[mon, fri]', '[mon, fry]', /:12:/],
    ['group twice', 'groups: [staff, 清掃]', 'groups: [staff, 清掃, staff]', /:13:.*"staff" stands twice/],
    ['door twice', 'id: library', 'id: main', /:17:.*"main" stands twice/],
    ['unknown group', 'group: staff', 'group: stuff', /:20:.*"stuff" is not listed under groups/],
    [
      'unknown door',
      'door: main, schedule',
      'door: mane, schedule',
      /:21:.*"mane" is not listed under doors/,
    ],
    [
      'unknown schedule',
      'door: main, schedule: office-hours',
      'door: main, schedule: never',
      /:21:.*"never"/,
    ],
    [
      'unknown schedule of a door',
      'schedule: office-hours, assurance',
      'schedule: noon, assurance',
      /:16:.*"noon"/,
    ],
    [
      'permission twice',
      '{ group: 清掃, door: main, schedule: office-hours }',
      '{ group: staff, door: main }',
      /:21:.*twice/,
    ],
    ['id with a space', 'id: library', 'id: the library', /:17:.*1 to 64/],
    ['Individual Number as id', 'id: library', 'id: "123456789018"', /:17:.*Individual Number/],
  ];
  test.each(wrong)('are refused with the line: %s', (_, before, after, message) => {
    expect(yaml).toContain(before);
    let fault: unknown;
    try {
      parse(yaml.replace(before, after));
    } catch (error) {
      fault = error;
    }
    expect(fault).toBeInstanceOf(Fault);
    expect((fault as Fault).code).toBe('policy-import-refused');
    expect((fault as Fault).message).toMatch(message);
    expect((fault as Fault).message).not.toContain('123456789018');
  });

  test('are refused with every problem at once', () => {
    const text = yaml.replace('group: staff', 'group: stuff').replace('id: library', 'id: main');
    expect(() => parse(text)).toThrow(/:17:.*\n.*:20:/);
  });
});

describe('the first line of a list', () => {
  const header = (text: string, options = { mode: 'delta' as ImportMode, profiles: 1 }) =>
    readHeader(1, text.split(','), options);

  test('names columns in English or Japanese, in any order', () => {
    expect(header('状態,利用者番号,Valid Until,グループ')).toEqual({
      columns: ['status', 'user_number', 'valid_until', 'groups'],
    });
  });

  test('is refused with unknown, repeated or missing columns', () => {
    expect(header('user_number,colour,shape')).toMatchObject({
      problems: [{ line: 1, text: /column 2/ }, { text: /column 3/ }].map(({ text }) => ({
        text: expect.stringMatching(text),
      })),
    });
    expect(header('user_number,状態,status')).toMatchObject({ problems: [{ line: 1 }] });
    expect(header('status')).toMatchObject({ problems: [{ text: expect.stringContaining('user_number') }] });
    expect(header('user_number', { mode: 'delta', profiles: 2 })).toMatchObject({
      problems: [{ text: expect.stringContaining('profile') }],
    });
    expect(header('user_number', { mode: 'complete', profiles: 1 })).toMatchObject({
      problems: [{ text: expect.stringContaining('groups') }],
    });
  });
});

describe('a line of a list', () => {
  test('becomes a row', () => {
    const line = 'A0000001,type-a,p-1,停止,2026/4/1,2026-04-30,清掃；staff staff,終了,3,00ff';
    expect(read(allColumns, line)).toEqual({
      line: 2,
      holderId: 'p-1',
      profileId: 'type-a',
      userNumber: 'A0000001',
      status: 'suspended',
      validFromMs: at('2026-04-01T00:00+09:00'),
      validUntilMs: at('2026-05-01T00:00+09:00'),
      groups: ['staff', '清掃'],
      cardStatus: 'ended',
      keyVersion: 3,
      diversifier: '00FF',
    });
  });

  test('keeps leading zeros, and names the holder by the user number where nothing else does', () => {
    expect(read('user_number,profile', '00471234,university-card')).toMatchObject({
      userNumber: '00471234',
      holderId: 'university/00471234',
    });
    expect(read('user_number,profile', '00471234,type-a')).toMatchObject({ holderId: '00471234' });
  });

  test('may leave the profile out where the rules admit one alone', () => {
    const single = { ...rules, profiles: rules.profiles.slice(0, 1) };
    expect(read('user_number', 'A0000001', 'complete', single)).toMatchObject({ profileId: 'type-a' });
    expect(problems('user_number', 'A0000001')).toEqual(['profile is empty']);
  });

  test('with empty cells means active and no limit in a complete list, and nothing in a delta', () => {
    const line = 'A0000001,type-a,,,,,,,,';
    expect(read(allColumns, line)).toEqual({
      line: 2,
      holderId: 'A0000001',
      profileId: 'type-a',
      userNumber: 'A0000001',
      status: 'active',
      validFromMs: null,
      validUntilMs: null,
      groups: [],
      cardStatus: 'active',
      keyVersion: null,
    });
    expect(read(allColumns, line, 'delta')).toEqual({
      line: 2,
      holderId: 'A0000001',
      profileId: 'type-a',
      userNumber: 'A0000001',
    });
    expect(read(allColumns, 'A0000001,type-a,,,none,なし,none,,none,', 'delta')).toEqual({
      line: 2,
      holderId: 'A0000001',
      profileId: 'type-a',
      userNumber: 'A0000001',
      validFromMs: null,
      validUntilMs: null,
      groups: [],
      keyVersion: null,
    });
  });

  const wrong: readonly (readonly [string, string, string, RegExp])[] = [
    ['too many columns', 'user_number,profile', 'A0000001,type-a,x', /3 columns instead of 2.*quotes/],
    ['too few columns', 'user_number,profile', 'A0000001', /1 columns instead of 2/],
    ['empty user number', 'user_number,profile', ',type-a', /user_number is empty/],
    [
      'unknown profile',
      'user_number,profile',
      'A0000001,type-x',
      /"type-x" is not in the rules \(type-a, university-card\)/,
    ],
    ['too short', 'user_number,profile', 'A1,type-a', /does not have the format/],
    ['lost leading zeros', 'user_number,profile', '471234,university-card', /dropped leading zeros/],
    ['rounded by a spreadsheet', 'user_number,profile', '4.71E+11,university-card', /spreadsheet/],
    ['full-width digits', 'user_number,profile', '０0471234,university-card', /half-width/],
    ['unknown status', 'user_number,profile,status', 'A0000001,type-a,maybe', /"maybe" must be active/],
    ['unknown card status', 'user_number,profile,card_status', 'A0000001,type-a,lost', /card_status "lost"/],
    [
      'unknown group',
      'user_number,profile,groups',
      'A0000001,type-a,staff;stuff',
      /group "stuff" is not in the rules/,
    ],
    ['bad date', 'user_number,profile,valid_until', 'A0000001,type-a,2026-02-30', /"2026-02-30" is no date/],
    [
      'limits reversed',
      'user_number,profile,valid_from,valid_until',
      'A0000001,type-a,2026-04-02,2026-04-01',
      /not later/,
    ],
    ['bad key version', 'user_number,profile,key_version', 'A0000001,type-a,256', /1 to 255/],
    ['bad diversifier', 'user_number,profile,diversifier', 'A0000001,type-a,00F', /hexadecimal/],
    ['bad holder', 'user_number,profile,holder', 'A0000001,type-a,a b', /holder must be/],
  ];
  test.each(wrong)('is refused: %s', (_, header, line, message) => {
    const found = problems(header, line);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(message);
  });

  test('tells everything wrong with it at once', () => {
    expect(problems('user_number,profile,status,valid_until,groups', 'A1,type-a,x,y,z')).toHaveLength(4);
  });

  // check digits computed by hand: 12345678901 -> 8
  test.each(['123456789018', '1234-5678-9018', '１２３４５６７８９０１８', ' 123456789018 '])(
    'is refused for an Individual Number in any column, which is not repeated: %s',
    (number) => {
      const lines = [
        ['user_number,profile', `${number},type-a`],
        ...['holder', 'groups', 'status', 'diversifier'].map((column) => [
          `${column},user_number,profile`,
          `${number},A0000001,type-a`,
        ]),
      ] as const;
      for (const [header, line] of lines) {
        const [text, ...more] = problems(header ?? '', line ?? '');
        expect(more).toEqual([]);
        expect(text).toMatch(/Individual Number/);
        expect(text?.normalize('NFKC').replace(/\D/g, '')).not.toContain('12345');
      }
    },
  );

  test('accepts 12 digits that are no Individual Number', () => {
    expect(read('user_number,profile', '123456789017,type-a')).toMatchObject({ userNumber: '123456789017' });
  });

  test('never repeats what may be a number of a person in a wrong column', () => {
    for (const header of [
      'profile,user_number',
      'status,user_number',
      'groups,user_number',
      'valid_until,user_number',
    ]) {
      expect(problems(header, '00471234,A0000001').join()).not.toContain('471234');
    }
    expect(problems('user_number,profile', '00471234X,university-card').join()).not.toContain('471234');
  });
});

describe('limits of validity', () => {
  const limit = (text: string, edge: 'from' | 'until' = 'until', zone = 'Asia/Tokyo') =>
    parseLimit(text, edge, zone);

  test('a date alone is the whole day where the organization is', () => {
    expect(limit('2026-04-01', 'from')).toBe(at('2026-04-01T00:00+09:00'));
    expect(limit('2026-04-01')).toBe(at('2026-04-02T00:00+09:00'));
    expect(limit('2026/12/31')).toBe(at('2027-01-01T00:00+09:00'));
    expect(limit('2026-03-29', 'until', 'Europe/Berlin')).toBe(at('2026-03-30T00:00+02:00'));
  });

  test('to the minute, local or with an offset', () => {
    expect(limit('2026-04-01 18:00')).toBe(at('2026-04-01T18:00+09:00'));
    expect(limit('2026/4/1 9:05')).toBe(at('2026-04-01T09:05+09:00'));
    expect(limit('2026-04-01T18:00:00Z')).toBe(at('2026-04-01T18:00Z'));
    expect(limit('2026-04-01T18:00-05:00')).toBe(at('2026-04-01T18:00-05:00'));
    expect(limit('2026-04-01T18:00+0530')).toBe(at('2026-04-01T18:00+05:30'));
    expect(limit('2026-04-01 24:00')).toBe(at('2026-04-02T00:00+09:00'));
  });

  test.each([
    '2026-13-01',
    '2026-02-29',
    '2026-4/1',
    '26-04-01',
    '2026-04-01 25:00',
    '2026-04-01 18:60',
    '2026-04-01 18:00:30',
    '01/04/2026',
    'tomorrow',
    '2026-04-01T18:00+15:00',
    '令和8年4月1日',
  ])('refuses %s', (text) => {
    expect(limit(text)).toBeUndefined();
  });
});
