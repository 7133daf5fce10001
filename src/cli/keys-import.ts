import type { Command } from 'commander';
import { isMissing } from '#adapters/process/durable-file.ts';
import { readSecretFile } from '#adapters/process/secret-file.ts';
import { FileVault } from '#adapters/sealed/file-vault.ts';
import { equalConstantTime } from '#core/bytes/bytes.ts';
import { checkValueOf, isMasterKeyLength } from '#core/card/diversification.ts';
import { Fault } from '#core/fault.ts';
import { loadCardProfile, loadKeySource } from '#terminal/config.ts';
import { keysHelp, withVault } from './key-options.ts';
import { masterKeyText } from './keys-list.ts';
import { createOutput } from './output.ts';
import { wholeNumber } from './whole-number.ts';

interface ImportOptions {
  readonly vault: string;
  readonly profile: string;
  readonly keyVersion: number;
  readonly component: readonly string[];
  readonly checkValue?: string;
  readonly json?: boolean;
}

const help = `
A component is a file of mode 0600 with 32, 48 or 64 hexadecimal digits. Several are added (XOR) to the master key, so
that no one who holds one of them knows it; one that adds nothing is refused. The check value is the first five bytes
of the AES-CMAC of 16 zero bytes (ANSI X9.24-1), of each component and of the key. A vault file that is not there yet is
made.`;

/** `keys import`: a master key, from its components, into a vault. */
export function registerKeysImport(keys: Command): void {
  keys
    .command('import')
    .description('Take a master key, from one or several components, into a vault')
    .requiredOption('--vault <file>', keysHelp)
    .requiredOption('--profile <file>', 'Card profile the key is for, which names its diversification')
    .requiredOption('--key-version <number>', 'Version of the key, 1 to 255', wholeNumber)
    .requiredOption('--component <file...>', 'Component of the key; name each holder’s')
    .option(
      '--check-value <hex>',
      'Check value of the whole key by the ceremony’s record; another is refused',
    )
    .addHelpText('after', help)
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<ImportOptions>();
      const output = createOutput(options.json === true);
      const added = await importKey(options, (text) => output.note(text));
      output.result(added, `imported ${masterKeyText(added)}`);
    });
}

async function importKey(options: ImportOptions, note: (text: string) => void) {
  const { id, keys } = await loadCardProfile(options.profile);
  if (!keys) throw new Fault('argument-invalid', `card profile ${id} has no keys`);
  const { keyVersion: version } = options;
  if (!keys.versions.includes(version)) {
    throw new Fault('argument-invalid', `card profile ${id} does not list key version ${version}`);
  }
  const key = await joined(options.component, note);
  try {
    const checkValue = checkValueOf(key);
    if (options.checkValue !== undefined && options.checkValue.toUpperCase() !== checkValue) {
      throw new Fault('key-refused', `the key has the check value ${checkValue}; a component is wrong`);
    }
    await makeMissingVault(options.vault);
    const { diversification } = keys;
    return await withVault(options.vault, (vault) =>
      vault.add({ profileId: id, version, diversification, key }),
    );
  } finally {
    key.fill(0);
  }
}

async function makeMissingVault(file: string): Promise<void> {
  const source = await loadKeySource(file);
  if (source.kind === 'vault-file' && (await isMissing(source.file))) await new FileVault(source).create();
}

/** The key that the components add up to; their check values are noted. */
async function joined(files: readonly string[], note: (text: string) => void): Promise<Uint8Array> {
  const components: { readonly file: string; readonly bytes: Uint8Array }[] = [];
  try {
    for (const file of files) {
      const bytes = await readComponent(file);
      components.push({ file, bytes });
      if (files.length > 1) note(`${file}: check value ${checkValueOf(bytes)}`);
    }
    return sum(components);
  } finally {
    for (const { bytes } of components) bytes.fill(0);
  }
}

/**
 * The components added up. What would leave the key to fewer custodians than there are components is refused: one that
 * is all zeros, two that are equal and so cancel out, a key that is all zeros.
 */
function sum(components: readonly { readonly file: string; readonly bytes: Uint8Array }[]): Uint8Array {
  const key = new Uint8Array(components[0]?.bytes.length ?? 0);
  for (const [i, { file, bytes }] of components.entries()) {
    if (bytes.length !== key.length) {
      throw new Fault('key-refused', `${file} has another length than the component before it`);
    }
    if (isZero(bytes)) throw new Fault('key-refused', `the component in ${file} is all zeros`);
    const twin = components.slice(0, i).find((it) => equalConstantTime(it.bytes, bytes));
    if (twin) throw new Fault('key-refused', `${twin.file} and ${file} hold the same component`);
  }
  for (const { bytes } of components) {
    for (const [i, byte] of bytes.entries()) key[i] = (key[i] ?? 0) ^ byte;
  }
  if (isZero(key)) throw new Fault('key-refused', 'the components add up to zeros');
  return key;
}

const isZero = (bytes: Uint8Array): boolean => equalConstantTime(bytes, new Uint8Array(bytes.length));

/** Hexadecimal digits, spaces between them allowed; they never become a string. */
async function readComponent(file: string): Promise<Uint8Array> {
  const content = await readSecretFile(file);
  const nibbles = content.filter((byte) => ![0x20, 0x0a, 0x0d].includes(byte));
  content.fill(0);
  for (const [i, byte] of nibbles.entries()) nibbles[i] = nibbleOf(byte);
  const bytes = new Uint8Array(nibbles.length >> 1).map(
    (_, i) => ((nibbles[2 * i] ?? 0) << 4) | (nibbles[2 * i + 1] ?? 0),
  );
  const whole = nibbles.length === 2 * bytes.length && !nibbles.includes(noNibble);
  nibbles.fill(0);
  if (whole && isMasterKeyLength(bytes.length)) return bytes;
  bytes.fill(0);
  throw new Fault('key-refused', `${file} is not 32, 48 or 64 hexadecimal digits`);
}

const noNibble = 0xff;

/** The value of a hexadecimal digit in ASCII, or `noNibble`. */
function nibbleOf(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : noNibble;
}
