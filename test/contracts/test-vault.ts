import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FileVault } from '#adapters/sealed/file-vault.ts';
import { readTestKeys, type TestKey } from '#simulators/card/test-keys.ts';

/** Makes a vault in `folder`, with the published keys of the virtual cards. Returns what commands take as `--keys`. */
export async function makeTestVault(folder: string, keys?: readonly TestKey[]): Promise<string> {
  const passphraseFile = join(folder, 'passphrase');
  await writeFile(passphraseFile, 'a passphrase of tests alone\n', { mode: 0o600 });
  const vault = new FileVault({ file: join(folder, 'vault'), sealing: { passphraseFile } });
  await vault.create(keys ?? (await readTestKeys()));
  const source = join(folder, 'keys.yaml');
  await writeFile(source, 'kind: vault-file\nfile: vault\nsealing: { passphraseFile: passphrase }\n');
  return source;
}
