import { permitTry } from '#adapters/pkcs11/pin-try.ts';
import { Pkcs11Vault } from '#adapters/pkcs11/pkcs11-vault.ts';
import { FileVault } from '#adapters/sealed/file-vault.ts';
import { SealedCardKeys } from '#adapters/sealed/sealed-card-keys.ts';
import type { KeySource } from '#core/config/key-source.ts';
import { Fault } from '#core/fault.ts';
import type { KeyDerivation } from '#ports/key-derivation.ts';
import type { KeyErasure } from '#ports/key-erasure.ts';
import type { KeyVault } from '#ports/key-vault.ts';

/** Keys for taps, wherever they are; what holds them runs between `start` and `stop`. */
export interface DeviceKeys extends KeyDerivation {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** why no keys can be had; undefined while they can */
  fault(): Fault | undefined;
}

/** The keys of a device, and what erases them; a token erases its own. */
export interface OpenedKeys {
  readonly keys: DeviceKeys;
  readonly erasure?: KeyErasure;
}

/** Builds what serves keys from `source`; `changed` is told when it fails and when it serves again (`undefined`). */
export function deviceKeys(source: KeySource, changed: (fault: Fault | undefined) => void): OpenedKeys {
  switch (source.kind) {
    case 'card-keys': {
      const { directory, sealing } = source;
      const keys = new SealedCardKeys({
        directory,
        sealing,
        changed: (news) => changed(news instanceof Fault ? news : undefined),
      });
      return { keys, erasure: keys };
    }
    case 'vault-file': {
      const keys = new FileVault(source);
      return { keys, erasure: keys };
    }
    case 'pkcs11':
      return { keys: tokenVault(source, changed) };
    default:
      return source satisfies never;
  }
}

/** The vault of `source`. Throws a Fault `argument-invalid` for one that has no master key. */
export function masterKeyVault(source: KeySource): KeyVault {
  if (source.kind === 'card-keys') {
    throw new Fault('argument-invalid', 'these are keys of cards; a vault with master keys is needed');
  }
  return source.kind === 'vault-file' ? new FileVault(source) : tokenVault(source);
}

/** Permits the PIN of a token to be tried once more. Throws a Fault `argument-invalid` where no token is used. */
export function permitPinTry(source: KeySource): void {
  if (source.kind !== 'pkcs11') throw new Fault('argument-invalid', 'a vault without a token has no PIN');
  permitTry({ directory: source.directory, label: source.token });
}

function tokenVault(
  { timeout, kind: _, ...token }: Extract<KeySource, { kind: 'pkcs11' }>,
  changed?: (fault: Fault | undefined) => void,
): Pkcs11Vault {
  return new Pkcs11Vault({ ...token, timeoutMs: timeout, ...(changed && { changed }) });
}
