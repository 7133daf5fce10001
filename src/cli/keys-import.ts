import type { Command } from 'commander';
import { readSecretFile } from '#adapters/process/secret-file.ts';
import { FileVault } from '#adapters/sealed/file-vault.ts';
import { isMissing } from '#adapters/sealed/sealed-file.ts';
import { toHex, xor } from '#core/bytes/bytes.ts';
import { isMasterKeyLength } from '#core/card/diversification.ts';
import { AesCmac } from '#core/crypto/cmac.ts';
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
that no one who holds one of them knows it. The check value is the first five bytes of the AES-CMAC of 16 zero bytes
(ANSI X9.24-1), of each component and of the key. A vault file that is not there yet is made.`;

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
  let key: Uint8Array | undefined;
  for (const file of files) {
    const component = await readComponent(file);
    if (files.length > 1) note(`${file}: check value ${checkValueOf(component)}`);
    if (key && key.length !== component.length) {
      throw new Fault('argument-invalid', `${file} has another length than the component before it`);
    }
    const sum: Uint8Array = key ? xor(key, component) : component.slice();
    key?.fill(0);
    component.fill(0);
    key = sum;
  }
  if (!key) throw new Fault('argument-invalid', 'name at least one component');
  return key;
}

/** Hexadecimal digits, spaces between them allowed; they never become a string. */
async function readComponent(file: string): Promise<Uint8Array> {
  const content = await readSecretFile(file);
  const nibbles: number[] = [];
  for (const byte of content) {
    if (byte === 0x20 || byte === 0x0a || byte === 0x0d) continue;
    const value = '0123456789abcdef'.indexOf(String.fromCharCode(byte).toLowerCase());
    nibbles.push(value);
  }
  content.fill(0);
  const bytes = Uint8Array.from(
    { length: Math.floor(nibbles.length / 2) },
    (_, i) => ((nibbles[2 * i] ?? 0) << 4) | (nibbles[2 * i + 1] ?? 0),
  );
  const whole = nibbles.length === 2 * bytes.length && !nibbles.includes(-1);
  nibbles.fill(0);
  if (whole && isMasterKeyLength(bytes.length)) return bytes;
  throw new Fault('argument-invalid', `${file} is not 32, 48 or 64 hexadecimal digits`);
}

function checkValueOf(key: Uint8Array): string {
  const cmac = new AesCmac(key);
  const value = toHex(cmac.mac(new Uint8Array(16)).subarray(0, 5));
  cmac.close();
  return value;
}
