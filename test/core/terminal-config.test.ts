import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { formatDuration } from '#core/config/duration.ts';
import { parameterSheet } from '#core/config/parameter-sheet.ts';
import { terminalConfigSchema } from '#core/config/terminal-config.ts';
import { parseYaml } from '#core/config/yaml-document.ts';
import { isFault } from '#core/fault.ts';
import { loadTerminalConfig, terminalSettings } from '#terminal/config.ts';
import { schemas } from '../../scripts/generate-schemas.ts';

const deviceConfig = resolve(import.meta.dirname, '../../device-config');
const shipped = join(deviceConfig, 'terminals/entrance.yaml');
const text = readFileSync(shipped, 'utf8');

/** The message of the fault that the shipped configuration causes once `from` is replaced by `to`. */
function refusal(from: string | RegExp, to: string): string {
  const changed = text.replace(from, to);
  expect(changed).not.toBe(text);
  return refusalOf(changed);
}

function refusalOf(yaml: string): string {
  try {
    parseYaml(yaml, 'entrance.yaml', terminalConfigSchema, 'config-invalid');
  } catch (error) {
    if (isFault(error, 'config-invalid')) return error.message;
    throw error;
  }
  throw new Error('the configuration was accepted');
}

describe('the shipped terminal configuration', () => {
  it('is valid with everything it refers to', async () => {
    const loaded = await loadTerminalConfig(shipped);
    const settings = terminalSettings(loaded);
    expect(settings).toMatchObject({
      terminalId: 'entrance',
      interlocks: [],
      automation: { rules: [], inputs: [], outputs: [] },
      virtualReaders: 'refused',
      doors: [
        { doorId: 'entrance', settings: { contact: 'fitted', strikeMs: 5_000, heldOpenAfterMs: 45_000 } },
      ],
    });
    expect(loaded.profiles.map(({ method }) => method)).toEqual(['type-a', 'type-c']);
    expect(loaded.keys).toEqual({
      kind: 'card-keys',
      directory: '/var/lib/kazasu/card-keys',
      sealing: { credential: 'kazasu-sealing' },
    });
  });

  it('yields a sheet of every parameter with its default and the reason of a change', async () => {
    const { written } = await loadTerminalConfig(shipped);
    const sheet = parameterSheet(terminalConfigSchema, written);
    expect(sheet.find(({ path }) => path === 'deadlines.apdu')).toMatchObject({
      default: '1 s',
      value: '800 ms',
      differs: true,
      reason: expect.stringContaining('reader'),
    });
    expect(sheet.find(({ path }) => path === 'deadlines.tap')).toMatchObject({
      value: '3 s',
      differs: false,
    });
    expect(sheet.find(({ path }) => path === 'doors[entrance].heldOpenAfter')).toMatchObject({
      value: '45 s',
      differs: true,
      reason: expect.stringContaining('trolley'),
    });
    expect(sheet.find(({ path }) => path === 'doors[entrance].hardware.strike.active')).toMatchObject({
      default: 'high',
      differs: false,
    });
    expect(sheet.length).toBeGreaterThan(25);
  });

  it('has schemas that are generated from the code', () => {
    for (const [name, generated] of Object.entries(schemas)) {
      expect(readFileSync(join(deviceConfig, 'schemas', name), 'utf8'), `run npm run schemas: ${name}`).toBe(
        generated,
      );
    }
  });
});

describe('the shipped configuration of a lobby', () => {
  it('is valid with a gate, a man-trap, an elevator, a door without a reader and a fire panel', async () => {
    const settings = terminalSettings(await loadTerminalConfig(join(deviceConfig, 'terminals/lobby.yaml')));
    expect(settings.interlocks).toEqual([['outer', 'inner']]);
    expect(settings.doors).toMatchObject([
      { doorId: 'gate', settings: { passage: 'fitted', exitStuck: 'unlock' } },
      { doorId: 'outer' },
      { doorId: 'inner' },
      { doorId: 'lift', floors: ['1', '2'] },
      { doorId: 'yard-door', zones: ['lobby'] },
    ]);
    expect(settings.automation.rules).toHaveLength(5);
  });
});

describe('the rules on inputs and outputs in the instructions', () => {
  it('are what the configuration takes', () => {
    const guide = readFileSync(join(deviceConfig, '../docs/commissioning.md'), 'utf8');
    const example = /```yaml\n(inputs:\n[\s\S]*?)```/.exec(guide)?.[1] ?? '';
    const config = parseYaml(`${text}${example}`, 'example', terminalConfigSchema, 'config-invalid');
    expect(config.automation).toHaveLength(5);
    expect(config.automation[4]).toEqual({
      when: { event: 'forced-open', door: 'entrance' },
      do: [{ output: 'siren', for: 30_000 }],
    });
  });
});

describe('a bad configuration is refused with line and hint', () => {
  it('unknown keys', () => {
    const line = text.split('\n').findIndex((row) => row.includes('strikeTime')) + 1;
    expect(refusal('strikeTime: 5 s', 'strikTime: 5 s')).toMatch(
      new RegExp(`:${line}:\\d+: unknown key "strikTime"`),
    );
  });

  it.each([
    ['5', /written with its unit/],
    ['5 seconds', /is no duration/],
    ['"500"', /is no duration/],
    ['5 h', /out of range/],
    ['-5 s', /is no duration/],
  ])('wrong units: strikeTime %s', (value, message) => {
    const said = refusal('strikeTime: 5 s', `strikeTime: ${value}`);
    expect(said).toMatch(message);
    const line = text.split('\n').findIndex((row) => row.includes('strikeTime')) + 1;
    expect(said).toContain(`entrance.yaml:${line}:`);
  });

  it('two users of one GPIO line', () => {
    expect(refusal('line: 27', 'line: 17')).toMatch(
      /GPIO line 17 of pinctrl-bcm2711 is used twice: .*strike.*contact/,
    );
    const second = text.replace(
      'deadlines:',
      '  - id: back\n    hardware:\n      strike: { kind: gpio, chip: pinctrl-bcm2711, line: 17 }\ndeadlines:',
    );
    expect(refusalOf(second)).toMatch(
      /line 17 .* is used twice: door entrance: strike and door back: strike/,
    );
  });

  it('a virtual reader', () => {
    expect(refusal(/name: "ACS[^"]*"/, 'name: "Virtual PCD 00 00"')).toMatch(
      /virtual reader never serves a real door/,
    );
  });

  it('a reader that serves no door, twice the same id, a deadline longer than the tap, an idle pre-alarm', () => {
    expect(refusal('door: entrance\n', 'door: entrnce\n')).toMatch(/no door "entrnce"/);
    expect(refusal('apdu: 800 ms', 'apdu: 20 s')).toMatch(/longer than the deadline of the whole tap/);
    expect(refusal('heldOpenAfter: 45 s', 'heldOpenAfter: 45 s\n    preAlarm: 1 min')).toMatch(
      /shorter than heldOpen/,
    );
    const twice = text.replace(
      'doors:\n',
      'doors:\n  - id: entrance\n    hardware:\n      strike: { kind: usb-relay, serial: "A1B2C", relay: 1 }\n',
    );
    expect(refusalOf(twice)).toMatch(/door "entrance" stands twice/);
  });

  it('interlocks of doors that are not there, of one door, of an elevator', () => {
    const interlocked = (doors: string) => refusalOf(`${text}interlocks: [{ doors: [${doors}] }]\n`);
    expect(interlocked('entrance, inner')).toMatch(/no door "inner" under doors:/);
    expect(interlocked('entrance')).toMatch(/at least two doors/);
    expect(interlocked('entrance, entrance')).toMatch(/"entrance" stands twice/);
    const lift =
      '  - id: lift\n    hardware: { floors: { "1": { kind: usb-relay, serial: QAAMZ, relay: 1 } } }\n';
    const withLift = text.replace('doors:\n', `doors:\n${lift}`);
    expect(refusalOf(`${withLift}interlocks: [{ doors: [entrance, lift] }]\n`)).toMatch(
      /"lift" is an elevator/,
    );
    const blind = '  - id: blind\n    hardware: { strike: { kind: usb-relay, serial: QAAMZ, relay: 1 } }\n';
    const withBlind = text.replace('doors:\n', `doors:\n${blind}`);
    expect(refusalOf(`${withBlind}interlocks: [{ doors: [entrance, blind] }]\n`)).toMatch(
      /"blind" has no contact/,
    );
  });

  it('rules on inputs and outputs that name nothing, never end, or set each other off', () => {
    const rules = (...lines: readonly string[]) =>
      refusalOf(`${text}automation:\n${lines.map((line) => `  - ${line}\n`).join('')}`);
    expect(rules('{ when: { input: panel }, do: [{ output: siren }] }')).toMatch(
      /no "panel" under inputs:[\s\S]*no "siren" under outputs:/,
    );
    expect(rules('{ when: { event: opened, door: back }, do: [{ alarm: a, for: 1 s }] }')).toMatch(
      /no "back" under doors:/,
    );
    expect(rules('{ when: { event: opened }, do: [{ alarm: a }] }')).toMatch(/an event has no end/);
    const lockdown = (zones: string) =>
      `{ when: { event: forced-open }, do: [{ condition: lockdown, set: on, zones: [${zones}] }] }`;
    expect(rules(lockdown('lobby, lab'))).toMatch(/zone "lab"/);
    expect(rules(lockdown('lobby, lab'))).not.toMatch(/zone "lobby"/);
    expect(
      rules(
        '{ when: { condition: lockdown }, do: [{ alarm: a }] }',
        '{ when: { alarm: a }, do: [{ condition: lockdown, set: off }] }',
      ),
    ).toMatch(/set each other off: rule 1 -\(alarm a\)-> rule 2 -\(condition lockdown\)-> rule 1/);
  });

  it('reports everything wrong at once, in the order of lines', () => {
    const said = refusalOf(
      text.replace('strikeTime: 5 s', 'strikeTime: 5').replace('line: 5,', 'line: 5000,'),
    );
    expect(said.split('\n')).toHaveLength(2);
  });

  it('what is no YAML, has a key twice, or uses aliases', () => {
    expect(refusalOf('a: [1')).toMatch(/entrance\.yaml:1:/);
    expect(refusalOf(`${text}\nterminal: again\n`)).toMatch(/unique/i);
    expect(refusalOf(text.replace('terminal: entrance', 'terminal: *x'))).toMatch(/entrance\.yaml/);
  });

  it('reasons for what is not changed, keys that are missing, profiles that do not exist', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'kazasu-config-'));
    const load = async (changed: string) => {
      const file = join(folder, 'terminal.yaml');
      writeFileSync(file, changed.replaceAll('../card-profiles', join(deviceConfig, 'card-profiles')));
      await loadTerminalConfig(file);
    };
    await expect(load(text.replace('deadlines.apdu:', 'deadlines.tap:'))).rejects.toThrow(
      /"deadlines.tap" is no parameter/,
    );
    await expect(load(text.replace(/^keys:\n(?: .*\n)+/m, ''))).rejects.toThrow(/keys: is missing/);
    await expect(load(text.replace('synthetic-type-c.yaml', 'nowhere.yaml'))).rejects.toThrow(
      /nowhere.yaml cannot be read/,
    );
    await expect(load(text.replace('from: outside', 'from: outside\n    profiles: [other]'))).rejects.toThrow(
      /no card profile has the id "other"/,
    );
  });
});

describe('two card profiles', () => {
  it('may not share an AID, for a card could not tell them apart', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'kazasu-config-'));
    const profile = readFileSync(join(deviceConfig, 'card-profiles/synthetic-type-c.yaml'), 'utf8');
    writeFileSync(join(folder, 'copy.yaml'), profile.replace('id: synthetic-type-c', 'id: copy'));
    const file = join(folder, 'terminal.yaml');
    const two = text.replace('../card-profiles/synthetic-type-a.yaml', join(folder, 'copy.yaml'));
    writeFileSync(file, two.replaceAll('../card-profiles', join(deviceConfig, 'card-profiles')));
    await expect(loadTerminalConfig(file)).rejects.toThrow(
      /"copy" and "synthetic-type-c": one AID is the other/,
    );
  });
});

describe('durations', () => {
  it('are shown in the largest unit that divides them', () => {
    expect([0, 250, 5_000, 90_000, 120_000, 7_200_000].map(formatDuration)).toEqual([
      '0 ms',
      '250 ms',
      '5 s',
      '90 s',
      '2 min',
      '2 h',
    ]);
  });
});
