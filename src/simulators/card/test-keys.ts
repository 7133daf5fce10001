import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { fromHex } from '#core/bytes/bytes.ts';
import { deriveCardKeys, diversifications } from '#core/card/diversification.ts';
import type { CardKeyRequest, CardKeys } from '#core/card/keys.ts';
import { parseYaml } from '#core/config/yaml-document.ts';
import { Fault } from '#core/fault.ts';
import type { KeyDerivation } from '#ports/key-derivation.ts';

const testKeysSchema = z.strictObject({
  formatVersion: z.literal(1),
  keys: z.array(
    z.strictObject({
      /** id of the card profile */
      profile: z.string().min(1),
      version: z.int().min(1).max(255),
      diversification: z.enum(diversifications).exclude(['none']),
      master: z
        .string('is not text (put hexadecimal in quotes)')
        .regex(/^(?:[0-9A-Fa-f]{16}){2,4}$/, 'is not hexadecimal of 16, 24 or 32 bytes'),
    }),
  ),
});

/** A published master key of virtual cards, which protects nothing. */
export interface TestKey {
  readonly profileId: string;
  readonly version: number;
  readonly diversification: 'kdf3' | 'an10922';
  readonly key: Uint8Array;
}

/** The published keys of the cards in `decks`. */
export async function readTestKeys(): Promise<readonly TestKey[]> {
  const file = new URL('./decks/keys.yaml', import.meta.url);
  const { keys } = parseYaml(await readFile(file, 'utf8'), 'keys.yaml', testKeysSchema, 'config-invalid');
  return keys.map(({ profile, version, diversification, master }) => ({
    profileId: profile,
    version,
    diversification,
    key: fromHex(master),
  }));
}

/** Derives the keys of virtual cards from their published master keys. */
export class TestKeys implements KeyDerivation {
  readonly #keys: readonly TestKey[];

  constructor(keys: readonly TestKey[]) {
    this.#keys = keys;
  }

  async cardKeys({ profileId, keyVersion, diversification, diversifier }: CardKeyRequest): Promise<CardKeys> {
    const found = this.#keys.find((it) => it.profileId === profileId && it.version === keyVersion);
    if (found?.diversification !== diversification) {
      throw new Fault('card-key-missing', `there is no test key of ${profileId} version ${keyVersion}`);
    }
    return deriveCardKeys(found.key, diversification, diversifier ?? new Uint8Array());
  }
}
