import type { KeySource } from '#core/config/key-source.ts';
import type { KeyDerivation } from '#ports/key-derivation.ts';
import type { KeyVault } from '#ports/key-vault.ts';
import { loadKeySource } from '#terminal/config.ts';
import { deviceKeys, masterKeyVault } from '#terminal/key-source.ts';

/** What commands say of their option for keys. */
export const keysHelp = 'Where keys come from (YAML), or the configuration of a terminal, whose keys count';

/** Runs `action` with the keys that `file` describes, open meanwhile; with none where there is no file. */
export async function withKeys<T>(
  file: string | undefined,
  action: (keys: KeyDerivation | undefined) => Promise<T>,
): Promise<T> {
  if (file === undefined) return action(undefined);
  const { keys } = deviceKeys(await loadKeySource(file), () => undefined);
  try {
    await keys.start();
    return await action(keys);
  } finally {
    await keys.stop();
  }
}

/** Runs `action` with the vault that `file` describes, open meanwhile. */
export async function withVault<T>(file: string, action: (vault: KeyVault) => Promise<T>): Promise<T> {
  return withVaultOf(await loadKeySource(file), action);
}

/** The same with the vault of `source`. */
export async function withVaultOf<T>(source: KeySource, action: (vault: KeyVault) => Promise<T>): Promise<T> {
  const vault = masterKeyVault(source);
  try {
    await vault.start();
    return await action(vault);
  } finally {
    await vault.stop();
  }
}
