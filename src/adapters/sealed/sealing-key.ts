import { hkdf, randomBytes, scrypt } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { readSecretFile } from '#adapters/process/secret-file.ts';
import type { Sealing } from '#core/config/key-source.ts';
import { Fault, isFault } from '#core/fault.ts';

/** How a sealing key comes from what is kept, as a sealed file records it; byte strings are hexadecimal. */
export type SealingDerivation =
  | { readonly kind: 'hkdf-sha-256'; readonly salt: string }
  | {
      readonly kind: 'scrypt';
      readonly salt: string;
      readonly n: number;
      readonly r: number;
      readonly p: number;
    };

/** A key for one file, and a value that tells whether it is the right one; the receiver zeroes both. */
export interface SealingKey {
  readonly key: Uint8Array;
  readonly check: Uint8Array;
}

const keyLength = 32;
const checkLength = 16;
const shortestCredential = 32;
const shortestPassphrase = 16;
/** what the unit of the terminal hands out in the place of a credential that the TPM did not open */
const notOpened = 'absent';
/** 32 MiB and three passes: as hard to guess as 128 MiB and one, and fit for a device of 1 GiB */
const scryptCost = { n: 2 ** 15, r: 8, p: 3 } as const;
const label = 'kazasu sealing key 1';

const deriveHkdf = promisify(hkdf);
const deriveScrypt = promisify<Uint8Array, Uint8Array, number, object, Buffer>(scrypt);

/** A way to derive the key for a new file. */
export function newDerivation(sealing: Sealing): SealingDerivation {
  const salt = randomBytes(32).toString('hex');
  return sealing.credential === undefined
    ? { kind: 'scrypt', salt, ...scryptCost }
    : { kind: 'hkdf-sha-256', salt };
}

/**
 * Derives the key of one file.
 *
 * @throws Fault `key-sealing-mismatch` where the file was sealed in another way, `file-unreadable`,
 * `key-file-invalid` for a passphrase or credential that is too short or that others may read
 */
export async function deriveSealingKey(sealing: Sealing, derivation: SealingDerivation): Promise<SealingKey> {
  const wanted = newKind(sealing);
  if (derivation.kind !== wanted) {
    throw new Fault(
      'key-sealing-mismatch',
      `sealed under ${derivation.kind === 'scrypt' ? 'a passphrase' : 'a credential'}, and the configuration names the other`,
    );
  }
  const secret = await sealingSecret(sealing);
  const salt = Buffer.from(derivation.salt, 'hex');
  try {
    const derived = new Uint8Array(
      derivation.kind === 'scrypt'
        ? await deriveScrypt(secret, salt, keyLength + checkLength, {
            N: derivation.n,
            r: derivation.r,
            p: derivation.p,
            maxmem: 256 * derivation.n * derivation.r,
          })
        : await deriveHkdf('sha256', secret, salt, label, keyLength + checkLength),
    );
    return { key: derived.subarray(0, keyLength), check: derived.subarray(keyLength) };
  } finally {
    secret.fill(0);
  }
}

const newKind = (sealing: Sealing): SealingDerivation['kind'] =>
  sealing.credential === undefined ? 'scrypt' : 'hkdf-sha-256';

async function sealingSecret({ credential, passphraseFile }: Sealing): Promise<Uint8Array> {
  if (passphraseFile !== undefined) {
    const content = await readSecretFile(passphraseFile);
    const end = content.findLastIndex((byte) => byte !== 0x0a && byte !== 0x0d) + 1;
    if (end >= shortestPassphrase) return content.subarray(0, end);
    content.fill(0);
    throw new Fault(
      'key-file-invalid',
      `the passphrase in ${passphraseFile} has fewer than ${shortestPassphrase} characters; make one: openssl rand -base64 24`,
    );
  }
  const directory = process.env.CREDENTIALS_DIRECTORY;
  if (credential === undefined || directory === undefined) {
    throw new Fault(
      'key-sealing-mismatch',
      `the credential ${credential} is not here: systemd hands it to the unit of the terminal, and to a command started by systemd-run with it`,
    );
  }
  const content = await readSecretFile(join(directory, credential)).catch((error: unknown) => {
    if (!isFault(error, 'file-unreadable')) throw error;
    throw new Fault('key-sealing-mismatch', `systemd has not handed out the credential ${credential}`, {
      cause: error,
    });
  });
  if (content.length >= shortestCredential) return content;
  if (Buffer.from(content).toString('latin1') === notOpened) {
    throw new Fault(
      'key-sealing-mismatch',
      `the TPM has not opened the credential ${credential}: systemctl status kazasu-sealing`,
    );
  }
  content.fill(0);
  throw new Fault(
    'key-file-invalid',
    `the credential ${credential} has fewer than ${shortestCredential} bytes; make it of random bytes`,
  );
}
