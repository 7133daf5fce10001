import { open } from 'node:fs/promises';
import { z } from 'zod';
import { copyOf, fromHex } from '#core/bytes/bytes.ts';
import { type Diversification, deriveCardKeys, diversifications } from '#core/card/diversification.ts';
import type { CardKeyRequest, CardKeys } from '#core/card/keys.ts';
import { parseYaml } from '#core/config/yaml-document.ts';
import { Fault } from '#core/fault.ts';
import type { KeyDerivation } from '#ports/key-derivation.ts';

const keyFileSchema = z.strictObject({
  formatVersion: z.literal(1),
  keys: z
    .array(
      z.strictObject({
        /** id of the card profile */
        profile: z.string().min(1),
        version: z.int().min(1).max(255),
        /** `an10922`: each card has keys of its own; `none`: all cards share this one for encryption and MAC */
        diversification: z.enum(diversifications),
        master: z
          .string('is not text (put hexadecimal in quotes)')
          .regex(
            /^(?:[0-9A-Fa-f]{32}|[0-9A-Fa-f]{48}|[0-9A-Fa-f]{64})$/,
            'is not hexadecimal of 16, 24 or 32 bytes',
          ),
      }),
    )
    .min(1)
    .superRefine((keys, context) => {
      const seen = new Set<string>();
      keys.forEach(({ profile, version }, index) => {
        const name = `${profile} version ${version}`;
        if (seen.has(name))
          context.addIssue({ code: 'custom', path: [index], message: `names ${name} twice` });
        seen.add(name);
      });
    }),
});

interface MasterKey {
  readonly diversification: Diversification;
  readonly key: Uint8Array;
}

/** Derives cards' keys from the master keys of a file, for sites without a key vault; the file stays a secret. */
class KeyfileDerivation implements KeyDerivation {
  readonly #masters: ReadonlyMap<string, MasterKey>;

  constructor(masters: ReadonlyMap<string, MasterKey>) {
    this.#masters = masters;
  }

  async cardKeys({ profileId, keyVersion, diversification, diversifier }: CardKeyRequest): Promise<CardKeys> {
    const master = this.#masters.get(nameOf(profileId, keyVersion));
    if (master?.diversification !== diversification) {
      throw new Fault(
        'key-unavailable',
        `the key file has no key of version ${keyVersion} for card profile ${profileId} with ${diversification}`,
      );
    }
    const { key } = master;
    if (diversification === 'none') return { encryption: copyOf(key), mac: copyOf(key) };
    return deriveCardKeys(key, diversification, diversifier ?? new Uint8Array());
  }
}

const nameOf = (profileId: string, version: number): string => `${profileId}/${version}`;

/** The file's bytes, its mode checked on the very file that is read. */
async function readSecret(path: string): Promise<Buffer> {
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw new Fault('file-unreadable', `the key file ${path} cannot be read`, { cause });
  });
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw new Fault('key-file-invalid', `${path} is no file`);
    if ((stat.mode & 0o077) !== 0) {
      const mode = (stat.mode & 0o777).toString(8);
      throw new Fault(
        'key-file-invalid',
        `the key file ${path} has mode ${mode}, so others than its owner reach it; run: chmod 600 ${path}`,
      );
    }
    return await file.readFile();
  } finally {
    await file.close();
  }
}

/**
 * Reads a YAML key file: formatVersion 1 and keys, each with profile, version, diversification and master.
 * Rejects with a Fault `file-unreadable` or `key-file-invalid`; no message shows key material.
 */
export async function createKeyfileDerivation(path: string): Promise<KeyDerivation> {
  const content = await readSecret(path);
  try {
    const { keys } = parseYaml(content.toString('utf8'), path, keyFileSchema, 'key-file-invalid');
    const masters = keys.map(
      ({ profile, version, diversification, master }) =>
        [nameOf(profile, version), { diversification, key: fromHex(master) }] as const,
    );
    return new KeyfileDerivation(new Map(masters));
  } finally {
    content.fill(0);
  }
}
