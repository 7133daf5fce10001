import { toHex } from '#core/bytes/bytes.ts';
import { digest } from '#core/crypto/digest.ts';
import type { Signing } from '#ports/signing.ts';
import type { SigningKeys, SigningPurpose } from '#ports/signing-keys.ts';
import { Pkcs11Vault, type Pkcs11VaultOptions } from './pkcs11-vault.ts';

export interface OrganizationKeysParts extends Pkcs11VaultOptions {
  readonly holds: readonly SigningPurpose[];
}

/**
 * Keys of organizations in a PKCS#11 token, labelled `kazasu-issuance:ORGANIZATION:PURPOSE`. The token is opened when the
 * first is asked for, and again by itself when it was away.
 */
export class OrganizationKeys implements SigningKeys {
  readonly #parts: OrganizationKeysParts;
  readonly #vault: Pkcs11Vault;
  #started: Promise<void> | undefined;

  constructor(parts: OrganizationKeysParts) {
    this.#parts = parts;
    this.#vault = new Pkcs11Vault(parts);
  }

  async stop(): Promise<void> {
    if (this.#started) await this.#vault.stop();
  }

  holds(purpose: SigningPurpose): boolean {
    return this.#parts.holds.includes(purpose);
  }

  async key(organization: string, purpose: SigningPurpose, make: boolean): Promise<Signing | undefined> {
    this.#started ??= this.#vault.start();
    // where the first try failed, the vault goes on trying: what is asked now is told how it stands now
    await this.#started.catch(() => undefined);
    const label = `kazasu-issuance:${organization}:${purpose}`;
    const publicKey = await this.#vault.signingKey(label, make);
    if (!publicKey) return undefined;
    const keyId = toHex(digest('sha-256', publicKey));
    return {
      keyId: () => keyId,
      publicKey: () => publicKey.slice(),
      sign: (message) => this.#vault.sign({ label, keyId, message }),
    };
  }
}
