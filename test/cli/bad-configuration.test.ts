import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { kazasu, refusal, refusalDocument } from './kazasu.ts';

const deviceConfig = resolve(import.meta.dirname, '../../device-config');
const shipped = readFileSync(join(deviceConfig, 'terminals/entrance.yaml'), 'utf8').replaceAll(
  '../card-profiles',
  join(deviceConfig, 'card-profiles'),
);
const typeA = readFileSync(join(deviceConfig, 'card-profiles/synthetic-type-a.yaml'), 'utf8');
const typeC = readFileSync(join(deviceConfig, 'card-profiles/synthetic-type-c.yaml'), 'utf8');
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'kazasu-cli-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/** `text` with one change, and the line it is in. */
function changed(text: string, from: string, to: string): { text: string; line: number } {
  const at = text.indexOf(from);
  expect(at).toBeGreaterThanOrEqual(0);
  return { text: text.replace(from, to), line: text.slice(0, at).split('\n').length };
}

const secondDoor = `doors:
  - id: back
    hardware:
      strike: { kind: gpio, chip: pinctrl-bcm2711, line: 17 }
`;
const typeAKeys = typeA.slice(typeA.indexOf('\nkeys:'), typeA.indexOf('\n# The PIN'));

const wrong: readonly (readonly [string, string, { text: string; line: number }, RegExp])[] = [
  [
    'an unknown key',
    'config-invalid',
    changed(shipped, 'strikeTime', 'strikTime'),
    /unknown key "strikTime"; remove it or correct/,
  ],
  [
    'a duration without its unit',
    'config-invalid',
    changed(shipped, 'strikeTime: 5 s', 'strikeTime: 5'),
    /doors\.0\.strikeTime: .*written with its unit/,
  ],
  [
    'a duration in a unit that does not exist',
    'config-invalid',
    changed(shipped, 'apdu: 800 ms', 'apdu: 800 msec'),
    /deadlines\.apdu: .*is no duration/,
  ],
  [
    'two doors on one GPIO line',
    'config-invalid',
    changed(shipped, 'doors:\n', secondDoor),
    /GPIO line 17 of pinctrl-bcm2711 is used twice: .*back.*entrance/,
  ],
  [
    'a virtual reader outside the site',
    'config-invalid',
    changed(
      shipped,
      'name: "ACS ACR1252 1S CL Reader [ACR1252 Dual Reader PICC] 00 00"',
      'name: "Virtual PCD 00 00"',
    ),
    /virtual reader never serves a real door/,
  ],
  [
    'Type D without encryption',
    'profile-invalid',
    changed(typeA.slice(0, typeA.indexOf('\npin:')), 'method: type-a', 'method: type-d'),
    /channel\.messages: must be encrypted/,
  ],
  [
    'Type C with keys',
    'profile-invalid',
    { text: typeC + typeAKeys, line: typeC.split('\n').length + 1 },
    /keys: has no place in Type C/,
  ],
  [
    'a shortened AID',
    'profile-invalid',
    changed(typeC, 'aid: "F04B415A415355010C01"', 'aid: "F04B415A41535501"'),
    /application\.aid: /,
  ],
];

describe('config check refuses, with file, line and what to do', () => {
  test.each(wrong)('%s', async (name, fault, { text, line }, message) => {
    const file = write(`${name.replaceAll(' ', '-')}.yaml`, text);
    const said = await refusal('config', 'check', file);
    expect(said.startsWith(`kazasu: ${fault}: ${file}:`)).toBe(true);
    expect(said).toMatch(message);
    const place = said.split('\n').find((row) => message.test(row)) ?? '';
    if (fault === 'config-invalid' && !name.startsWith('two doors'))
      expect(place).toContain(`${file}:${line}:`);
    expect(place).toMatch(/:\d+:\d+: /);
    expect(await refusalDocument('config', 'check', file)).toMatchObject({
      fault,
      message: expect.stringMatching(message),
    });
  });

  test('everything wrong at once, a line each', async () => {
    const file = write(
      'many.yaml',
      shipped.replace('strikeTime: 5 s', 'strikeTime: 5').replace('line: 5,', 'line: 5000,'),
    );
    expect((await refusal('config', 'check', file)).trimEnd().split('\n')).toHaveLength(2);
  });

  test('what is missing, by its name', async () => {
    const said = await refusal('config', 'check', write('short.yaml', 'formatVersion: 1\nterminal: x\n'));
    for (const key of ['cardProfiles', 'readers', 'doors']) expect(said).toContain(`${key}: is missing`);
  });

  test('an Individual Number anywhere, without repeating it', async () => {
    const number = '123456789018';
    const rules = (key: string, group: string) => `formatVersion: 1
organization: city
${key}profiles:
  - id: type-a
    userNumberFormat: { alphabet: digits, minimumLength: 8, maximumLength: 8 }
groups: ["${group}"]
doors: [{ id: main }]
permissions: []
`;
    for (const text of [
      rules('', number),
      rules(`"${number}": 1\n`, 'staff'),
      `${rules('', 'staff')}x: *a${number}\n`,
    ]) {
      const file = write('rules.yaml', text);
      expect(await refusal('config', 'check', file)).not.toContain(number);
      expect((await refusalDocument('config', 'check', file)).message).not.toContain(number);
      expect(await refusal('policy', 'import', file, '--database', join(folder, 'p.sqlite'))).not.toContain(
        number,
      );
    }
  });
});

test.each(['terminal run', 'door lock'])('%s touches nothing with a wrong configuration', async (command) => {
  const state = join(folder, 'state');
  const file = write(
    'virtual.yaml',
    shipped.replace(/name: "ACS[^"]*"/, 'name: "Virtual PCD 00 00"').replace('/var/lib/kazasu', state),
  );
  expect(await refusal(...command.split(' '), '--config', file)).toMatch(/virtual reader never serves/);
  expect(() => readFileSync(state)).toThrow(/ENOENT/);
});

test('the shipped files are valid, and the sheet names what was changed and why', async () => {
  const terminal = join(deviceConfig, 'terminals/entrance.yaml');
  expect(await kazasu('config', 'check', terminal)).toMatchObject({ code: 0, err: '' });
  for (const name of ['synthetic-type-a', 'synthetic-type-c', 'synthetic-type-d']) {
    expect((await kazasu('config', 'check', join(deviceConfig, `card-profiles/${name}.yaml`))).code).toBe(0);
  }
  const { code, out } = await kazasu('config', 'parameters', terminal, '--changed');
  expect(code).toBe(0);
  expect(out).toContain('deadlines.apdu = 800 ms (default 1 s; the reader answers');
});

describe('the configuration of a server', () => {
  const server = `formatVersion: 1
database: { kind: sqlite }
http: { port: 9443 }
log: { level: debug }
reasons: { http.port: 8443 is taken here }
`;

  test('is checked as one', async () => {
    const file = write('issuance.yaml', server);
    const { out } = await kazasu('config', 'check', file, '--json');
    expect(JSON.parse(out)).toMatchObject({ valid: true, kind: 'issuance', database: 'sqlite' });
    for (const [from, to, message] of [
      ['port: 9443', 'port: 99443', /issuance-wrong\.yaml:3:\d+: http\.port/],
      ['http.port: 8443', 'http.host: 8443', /reasons: "http\.host" is no parameter that differs/],
    ] as const) {
      const wrongFile = write('issuance-wrong.yaml', server.replace(from, to));
      expect(await refusal('config', 'check', wrongFile)).toMatch(message);
    }
  });

  test('has a sheet of what differs, and why', async () => {
    const file = write('issuance.yaml', server);
    const { out } = await kazasu('config', 'parameters', file, '--changed', '--json');
    expect(JSON.parse(out)).toMatchObject([
      { path: 'http.port', value: 9443, default: 8443, reason: '8443 is taken here' },
      { path: 'log.level', value: 'debug', default: 'info' },
    ]);
  });
});
