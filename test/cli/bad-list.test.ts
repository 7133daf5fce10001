import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { kazasu, refusal, refusalDocument } from './kazasu.ts';

const number = '123456789018';
const rules = `formatVersion: 1
organization: city
profiles:
  - id: type-a
    userNumberFormat: { alphabet: digits, minimumLength: 8, maximumLength: 12 }
groups: [staff]
doors: [{ id: main }]
permissions: [{ group: staff, door: main }]
`;
let folder: string;
let database: string;

function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const importing = (file: string) => ['policy', 'import', file, '--mode', 'complete', '--database', database];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kazasu-cli-'));
  database = join(folder, 'policy.sqlite');
  const list = write('good.csv', 'user_number,groups\n00000042,staff\n');
  expect((await kazasu('policy', 'import', write('rules.yaml', rules), '--database', database)).code).toBe(0);
  expect((await kazasu(...importing(list))).code).toBe(0);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const header = 'user_number,groups,valid_until\n';
const wrong: readonly (readonly [string, string | Uint8Array, number, RegExp])[] = [
  ['a duplicate', `${header}00000001,staff,\n00000001,staff,\n`, 3, /the same card as in line 2/],
  ['an unknown group', `${header}00000001,stuff,\n`, 2, /group "stuff" is not in the rules/],
  ['a bad date', `${header}00000001,staff,2026-02-30\n`, 2, /valid_until "2026-02-30" is no date; write/],
  [
    'a byte not in its encoding',
    Buffer.concat([
      Buffer.from('利用者番号,グループ,有効期限\n00000001,staff,\n0000'),
      Buffer.from([0xe3, 0x81]),
      Buffer.from('2,staff,\n'),
    ]),
    3,
    /the byte E3 at character 5 is not utf-8; save the file anew/,
  ],
  [
    'an Individual Number',
    `${header}00000001,staff,\n${number},staff,\n`,
    3,
    /Individual Number \(マイナンバー\)/,
  ],
  ['a quoted Individual Number', `${header}"${number}",staff,\n`, 2, /Individual Number/],
  ['an Individual Number as a group', `${header}00000001,${number},\n`, 2, /Individual Number/],
  ['nothing', '', 1, /no line that names the columns/],
];

describe('policy import refuses a list with', () => {
  test.each(wrong)('%s, by line, and applies nothing', async (_, content, line, message) => {
    const file = write('list.csv', content);
    const said = await refusal(...importing(file));
    expect(said.split('\n')[0]).toMatch(message);
    expect(said.startsWith(`${file}:${line}: `)).toBe(true);
    expect(said).toContain('kazasu: policy-import-refused: 1 problem, nothing was applied');
    const document = await refusalDocument(...importing(file));
    expect(document).toMatchObject({
      fault: 'policy-import-refused',
      problems: [{ line, text: expect.stringMatching(message) }],
    });
    expect(said + JSON.stringify(document)).not.toContain(number);
    const shown = await kazasu('policy', 'show', '--user', '00000042', '--database', database, '--json');
    expect(JSON.parse(shown.out)).toMatchObject({ version: { number: 2 } });
  });
});

test('an Individual Number as the one asked for is not repeated', async () => {
  expect(await refusal('policy', 'show', '--user', number, '--database', database)).not.toContain(number);
});

test.each([
  ['a byte order mark and CRLF', '\uFEFFuser_number,groups\r\n00000042,staff\r\n', 1],
  ['a header alone', 'user_number,groups\n', 0],
])('a list with %s is taken', async (_, content, holders) => {
  const done = await kazasu(...importing(write('fine.csv', content)), '--dry-run', '--json');
  expect(done.code).toBe(0);
  expect(JSON.parse(done.out)).toMatchObject({ preview: { holdersAfter: holders } });
});

test('rules in another encoding are refused rather than read wrongly', async () => {
  const file = write(
    'sjis.yaml',
    Buffer.concat([Buffer.from('groups: ['), Buffer.from([0x90, 0xb4]), Buffer.from(']\n')]),
  );
  expect(await refusal('policy', 'import', file, '--database', database)).toContain(
    'is not UTF-8 text; save it as',
  );
  expect(await refusal('config', 'check', file)).toContain('is not UTF-8 text; save it as');
});
