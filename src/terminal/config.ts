import { dirname, relative, resolve } from 'node:path';
import { z } from 'zod';
import { doorSettingsSchema } from '#core/access/door-settings.ts';
import { type CardProfile, cardProfileSchema } from '#core/card/profile.ts';
import { type KeySource, keySourceSchema } from '#core/config/key-source.ts';
import { idleReasons } from '#core/config/parameter-sheet.ts';
import { type TerminalConfig, terminalConfigSchema } from '#core/config/terminal-config.ts';
import { parseYaml } from '#core/config/yaml-document.ts';
import { Fault } from '#core/fault.ts';
import type { TerminalSettings } from './terminal.ts';
import { readTextFile } from './text-file.ts';

/** A configuration with everything it refers to, checked together. */
export interface LoadedConfig {
  readonly config: TerminalConfig;
  /** the configuration as it stands in the file, defaults not filled in */
  readonly written: Readonly<Record<string, unknown>>;
  /** in order of preference */
  readonly profiles: readonly CardProfile[];
  /** with absolute paths; there where any profile authenticates */
  readonly keys?: KeySource;
}

/**
 * Reads a terminal's configuration and its card profiles.
 *
 * @throws Fault `config-invalid` or `profile-invalid` with every problem and its line, `file-unreadable`
 */
export async function loadTerminalConfig(path: string): Promise<LoadedConfig> {
  const text = await readTextFile(path);
  const config = parseYaml(text, path, terminalConfigSchema, 'config-invalid');
  const written = parseYaml(text, path, z.record(z.string(), z.unknown()), 'config-invalid');
  const folder = dirname(resolve(path));
  const profiles = await Promise.all(
    config.cardProfiles.map((file) => loadCardProfile(resolve(folder, file))),
  );
  const keys = config.keys && located(config.keys, folder);
  const problems = [
    ...profileProblems(config, profiles),
    ...(keys ? keyProblems(config, keys) : []),
    ...idleReasons(terminalConfigSchema, written),
  ];
  if (problems.length > 0)
    throw new Fault('config-invalid', problems.map((text) => `${path}: ${text}`).join('\n'));
  return { config, written, profiles, ...(keys && { keys }) };
}

/**
 * Reads where keys come from: a file with that alone, or the `keys` of a terminal's configuration. Rejects with a
 * Fault `config-invalid` with every problem and its line, or `file-unreadable`.
 */
export async function loadKeySource(path: string): Promise<KeySource> {
  const text = await readTextFile(path);
  const folder = dirname(resolve(path));
  const written = parseYaml(text, path, z.record(z.string(), z.unknown()), 'config-invalid');
  if ('kind' in written) return located(parseYaml(text, path, keySourceSchema, 'config-invalid'), folder);
  const { keys } = parseYaml(text, path, terminalConfigSchema, 'config-invalid');
  if (!keys) throw new Fault('config-invalid', `${path}: keys: is missing; no keys are configured here`);
  return located(keys, folder);
}

/** `source` with its relative paths counted from `folder`. */
function located(source: KeySource, folder: string): KeySource {
  if (source.kind === 'pkcs11') {
    const { pinFile, directory } = source;
    return { ...source, pinFile: resolve(folder, pinFile), directory: resolve(folder, directory) };
  }
  const { passphraseFile } = source.sealing;
  const sealing =
    passphraseFile === undefined ? source.sealing : { passphraseFile: resolve(folder, passphraseFile) };
  return source.kind === 'card-keys'
    ? { ...source, directory: resolve(folder, source.directory), sealing }
    : { ...source, file: resolve(folder, source.file), sealing };
}

/** Reads one card profile. Throws a Fault `profile-invalid` with every problem and its line, or `file-unreadable`. */
export async function loadCardProfile(path: string): Promise<CardProfile> {
  return parseYaml(await readTextFile(path), path, cardProfileSchema, 'profile-invalid');
}

function* profileProblems(config: TerminalConfig, profiles: readonly CardProfile[]): Iterable<string> {
  const ids = new Set<string>();
  for (const { id } of profiles) {
    if (ids.has(id)) yield `two card profiles have the id "${id}"; each needs its own`;
    ids.add(id);
  }
  for (const [index, { id, application }] of profiles.entries()) {
    const other = profiles.slice(0, index).find((before) => overlap(before.application.aid, application.aid));
    if (other)
      yield `card profiles "${other.id}" and "${id}": one AID is the other or its beginning; a card cannot tell them apart`;
  }
  for (const { id, profiles: wanted } of config.readers) {
    for (const profileId of wanted ?? []) {
      if (!ids.has(profileId)) yield `reader "${id}": no card profile has the id "${profileId}"`;
    }
  }
  const authenticating = profiles.filter(({ keys }) => keys !== undefined).map(({ id }) => id);
  if (authenticating.length > 0 && config.keys === undefined) {
    yield `keys: is missing; these card profiles authenticate: ${authenticating.join(', ')}`;
  }
}

/** What a terminal writes, and erases when somebody opens it, lies in its state directory: its unit may write nowhere else. */
function* keyProblems({ stateDirectory }: TerminalConfig, keys: KeySource): Iterable<string> {
  const [name, written] = keys.kind === 'vault-file' ? ['file', keys.file] : ['directory', keys.directory];
  const way = relative(stateDirectory, written);
  if (way === '..' || way.startsWith('../')) {
    yield `keys.${name}: ${written} is outside stateDirectory (${stateDirectory}), where the terminal could not write or erase it`;
  }
}

function overlap(a: string, b: string): boolean {
  return a.startsWith(b) || b.startsWith(a);
}

/** What the tap loop needs of `loaded`. */
export function terminalSettings({ config, profiles }: LoadedConfig): TerminalSettings {
  return {
    terminalId: config.terminal,
    readers: config.readers.map(({ id, name, door, from, to, service, timing: { mode, factor, limit } }) => ({
      readerId: id,
      readerName: name,
      doorId: door,
      ...(from === undefined ? {} : { from }),
      ...(to === undefined ? {} : { to }),
      ...(service && { service }),
      ...(mode === 'off' ? {} : { timing: { mode, factor, limitUs: limit * 1_000 } }),
    })),
    doors: config.doors.map((door) => ({
      doorId: door.id,
      settings: doorSettingsSchema.parse({
        contact: door.hardware.contact ? 'fitted' : 'none',
        passage: door.hardware.passage ? 'fitted' : 'none',
        strikeMs: door.strikeTime,
        longerStrikeMs: door.longerStrikeTime,
        exitRequest: door.exitRequest,
        exitMs: door.exitTime,
        exitStuckAfterMs: door.exitStuckAfter,
        exitStuck: door.exitStuck,
        relock: door.relock,
        heldOpenAfterMs: door.heldOpenAfter,
        longerHeldOpenAfterMs: door.longerHeldOpenAfter,
        preAlarmMs: door.preAlarm,
        closeSettleMs: door.closeSettle,
        openGraceMs: door.openGrace,
        obstructedAfterMs: door.obstructedAfter,
      }),
      zones: door.zones,
      ...(door.hardware.floors && { floors: Object.keys(door.hardware.floors) }),
    })),
    pin: {
      timeoutMs: config.pinTimeout,
      digits: new Map(profiles.flatMap(({ id, pin }) => (pin ? [[id, pin] as const] : []))),
    },
    decisionDeadlineMs: config.deadlines.decision,
    interlocks: config.interlocks.map(({ doors }) => doors),
    automation: {
      rules: config.automation,
      inputs: config.inputs.map(({ id }) => id),
      outputs: config.outputs.map(({ id }) => id),
    },
    virtualReaders: 'refused',
  };
}
