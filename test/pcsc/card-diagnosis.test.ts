import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { deckFile, profileFile } from '../contracts/deck.ts';
import { emulate, kazasu } from './kazasu-process.ts';
import { openPcscdFixture, type PcscdFixture } from './pcscd-fixture.ts';

const typeA = profileFile('synthetic-type-a');
const typeD = profileFile('synthetic-type-d');
let fixture: PcscdFixture;
let keys: string;
let pinFile: string;
let realProfile: string;
let card: Awaited<ReturnType<typeof emulate>> | undefined;

beforeAll(async () => {
  fixture = await openPcscdFixture();
  keys = await fixture.keyFile();
  pinFile = join(fixture.folder, 'pin');
  await writeFile(pinFile, '1234\n', { mode: 0o600 });
  realProfile = join(fixture.folder, 'real.yaml');
  await writeFile(
    realProfile,
    (await readFile(typeA, 'utf8')).replace('synthetic: true', 'synthetic: false'),
  );
});
afterEach(() => card?.stop());
afterAll(() => fixture.close());

const inFolder = (name: string): string => join(fixture.folder, name);
const inReader = async (name: string): Promise<void> => {
  card = await emulate(deckFile(name));
};

test('a trace is written for its owner alone, and explained in either language', async () => {
  await inReader('employee');
  const output = inFolder('a.jsonl');
  const words = ['--profile', typeA, '--keys', keys, '--pin-file', pinFile, '--output', output, '--wait'];
  expect(await kazasu('card', 'trace', ...words)).toMatchObject({
    code: 0,
    stdout: `6 exchanges, ended as: reading; written to ${output}\n`,
  });
  expect((await stat(output)).mode & 0o777).toBe(0o600);
  const japanese = await kazasu('card', 'explain', output);
  expect(japanese.stdout).toContain('相互認証（MUTUAL AUTHENTICATE）');
  const english = await kazasu('card', 'explain', output, '--language', 'en');
  expect(english.stdout).toContain(
    'VERIFY without data, reference 81: asks for the tries left and spends none',
  );
  expect(english.stdout).toContain('outcome: reading, PIN verified');
  const again = await kazasu('card', 'trace', ...words);
  expect(again).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^kazasu: argument-invalid: .* exists/m),
  });
});

test('kept messages of a Type D card are opened by its keys', async () => {
  await inReader('employee-type-d');
  const output = inFolder('d.jsonl');
  const given = ['--profile', typeD, '--keys', keys];
  await kazasu('card', 'trace', ...given, '--output', output, '--keep-protected', '--wait');
  const { code, stdout } = await kazasu('--json', 'card', 'explain', output, ...given, '--language', 'en');
  expect(code).toBe(0);
  const { exchanges } = JSON.parse(stdout);
  expect(exchanges.at(2).opened).toEqual({ kind: 'session', keys: 'fit' });
  expect(exchanges.at(3).opened).toMatchObject({ command: { mac: 'right' }, response: { mac: 'right' } });
  const keyless = await kazasu('card', 'explain', output, '--keys', keys);
  expect(keyless).toMatchObject({ code: 1, stderr: expect.stringContaining('without --profile') });
});

test('cards that people carry are recorded only where the test card is named, and no other card', async () => {
  await inReader('employee');
  const trace = (...more: string[]) =>
    kazasu('card', 'trace', '--profile', realProfile, '--keys', keys, '--wait', ...more);
  const unnamed = await trace('--output', inFolder('1.jsonl'));
  expect(unnamed).toMatchObject({ code: 1, stderr: expect.stringContaining('--test-card') });
  const wrongPin = inFolder('wrong-pin');
  await writeFile(wrongPin, '0000\n', { mode: 0o600 });
  const of = ['--test-card', 'T00000001', '--pin-file', wrongPin];
  const another = await trace('--output', inFolder('2.jsonl'), ...of);
  expect(another).toMatchObject({ code: 1, stderr: expect.stringContaining('nothing was written') });
  await expect(stat(inFolder('2.jsonl'))).rejects.toThrow('ENOENT');
  // and that card has lost no PIN try
  const checked = await kazasu('card', 'check', '--profile', typeA, '--keys', keys, '--language', 'en');
  expect(checked.stdout + checked.stderr).toContain('PIN tries left: 3 left');
  expect(await trace('--output', inFolder('3.jsonl'), '--test-card', 'E00012345')).toMatchObject({ code: 0 });
});

test('of a card that could not be read nothing is kept that tells it apart', async () => {
  await inReader('forged');
  const output = inFolder('forged.jsonl');
  const named = ['--test-card', 'E00012345', '--keep-protected', '--output', output];
  const { stderr } = await kazasu(
    'card',
    'trace',
    '--profile',
    realProfile,
    '--keys',
    keys,
    ...named,
    '--wait',
  );
  expect(stderr).toContain('masked all the same');
  const [header] = (await readFile(output, 'utf8')).split('\n');
  expect(JSON.parse(header ?? '')).toMatchObject({ protection: 'masked' });
});

test.each([
  ['employee', typeA],
  ['employee-type-d', typeD],
])('the card %s conforms to its profile', async (name, profile) => {
  await inReader(name);
  const { code, stdout } = await kazasu(
    '--json',
    'card',
    'check',
    '--profile',
    profile,
    '--keys',
    keys,
    '--wrong-keys',
    '--wait',
  );
  const { conforms, findings, timings } = JSON.parse(stdout);
  expect(findings.filter(({ verdict }: { verdict: string }) => verdict === 'fails')).toEqual([]);
  expect({ code, conforms }).toEqual({ code: 0, conforms: true });
  expect(timings.length).toBeGreaterThan(3);
});

test('a card that does not conform fails the command, with a table', async () => {
  await inReader('forged');
  const words = ['card', 'check', '--profile', typeA, '--keys', keys, '--language', 'en', '--wait'];
  const { code, stdout } = await kazasu(...words);
  expect(code).toBe(1);
  expect(stdout).toMatch(/^NG Authentication with the right keys: card-authentication-failed: /m);
  expect(stdout).toContain('the card does not conform to the profile');
  const { stdout: japanese } = await kazasu(...words.slice(0, 6), '--wait');
  expect(japanese).toMatch(/^NG .*: card-authentication-failed: 相互認証に失敗した$/m);
  expect(japanese).toMatch(/^ {3}アプリケーションの選択: [0-9]/m);
});

test('without its keypad a PIN is not changed, and the card is asked for nothing', async () => {
  await inReader('employee');
  const words = ['card', 'change-pin', '--profile', typeA, '--keys', keys, '--keypad', '04d9:a02a'];
  const { code, stdout, stderr } = await kazasu(...words);
  expect({ code, stdout }).toEqual({ code: 1, stdout: 'テンキーが使えません / the keypad cannot be used\n' });
  expect(stderr).toContain('pin-pad-absent: no keypad 04d9:a02a is plugged in');
  const odd = await kazasu(...words.slice(0, -1), 'keypad');
  expect(odd.stderr).toMatch(/^kazasu: argument-invalid: .*lsusb/);
});
