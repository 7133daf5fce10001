import { randomBytes, webcrypto } from 'node:crypto';
import { z } from 'zod';
import { createFile, replaceFile } from '#adapters/process/durable-file.ts';
import { readSecretFile } from '#adapters/process/secret-file.ts';
import { equalConstantTime } from '#core/bytes/bytes.ts';
import type { Sealing } from '#core/config/key-source.ts';
import { Fault } from '#core/fault.ts';
import { deriveSealingKey, newDerivation, type SealingKey } from './sealing-key.ts';

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${2 * bytes}}$`));

/** Version 1: AES-256-GCM under a key of its own; everything before `sealed` is authenticated with it. */
const formatSchema = z.strictObject({
  format: z.literal('kazasu-sealed'),
  formatVersion: z.literal(1),
  /** what the file is for: one sealed for another purpose is no substitute */
  purpose: z.string(),
  derivation: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('hkdf-sha-256'), salt: hex(32) }),
    z.strictObject({
      kind: z.literal('scrypt'),
      salt: hex(32),
      // bounds, so that a file made by somebody else takes neither all memory nor all day
      n: z.union([z.literal(2 ** 14), z.literal(2 ** 15), z.literal(2 ** 16), z.literal(2 ** 17)]),
      r: z.literal(8),
      p: z.int().min(1).max(8),
    }),
  ]),
  /** tells the wrong sealing key from a damaged file */
  check: hex(16),
  nonce: hex(12),
  /** what may be known: never a key */
  attributes: z.unknown(),
  /** ciphertext and tag, base64 */
  sealed: z.base64(),
});

export interface Sealed<Attributes> {
  /** told in clear, and authenticated */
  readonly attributes: Attributes;
  /** the reader zeroes it */
  readonly secret: Uint8Array;
}

export interface SealedFile {
  readonly file: string;
  readonly purpose: string;
  readonly sealing: Sealing;
}

const { subtle } = webcrypto;

/**
 * Opens a sealed file.
 *
 * @throws Fault `file-unreadable`, `key-file-invalid` for one that is damaged, changed, for another purpose or of
 * another version, `key-sealing-mismatch` when it was sealed with another passphrase or to another device
 */
export async function openSealed<S extends z.ZodType>(
  { file, purpose, sealing }: SealedFile,
  attributesSchema: S,
): Promise<Sealed<z.output<S>>> {
  const { sealed, ...header } = parse(file, await readSecretFile(file));
  if (header.purpose !== purpose) {
    throw new Fault('key-file-invalid', `${file} is a sealed file for something else: ${header.purpose}`);
  }
  const attributes = attributesSchema.safeParse(header.attributes);
  if (!attributes.success) throw damaged(file);
  const sealingKey = await deriveSealingKey(sealing, header.derivation);
  try {
    if (!equalConstantTime(sealingKey.check, Buffer.from(header.check, 'hex'))) {
      throw new Fault(
        'key-sealing-mismatch',
        `${file} was sealed with another passphrase or credential, or to another device`,
      );
    }
    const parameters = gcm(header.nonce, header);
    const key = await gcmKey(sealingKey);
    const secret = await subtle
      .decrypt(parameters, key, Buffer.from(sealed, 'base64'))
      .catch((cause: unknown) => {
        throw damaged(file, cause);
      });
    return { attributes: attributes.data, secret: new Uint8Array(secret) };
  } finally {
    zero(sealingKey);
  }
}

/** Seals `secret` into a file that takes the place of the one there, whole or not at all. */
export async function writeSealed(description: SealedFile, content: Sealed<unknown>): Promise<void> {
  await replaceFile(description.file, await seal(description, content));
}

/**
 * Seals `secret` into a new file, whole or not at all. Rejects with `key-refused` where one is there already, which is
 * never replaced: whatever depends on it would be lost.
 */
export async function createSealed(description: SealedFile, content: Sealed<unknown>): Promise<void> {
  await createFile(description.file, await seal(description, content));
}

async function seal(
  { purpose, sealing }: SealedFile,
  { attributes, secret }: Sealed<unknown>,
): Promise<Uint8Array> {
  const derivation = newDerivation(sealing);
  const sealingKey = await deriveSealingKey(sealing, derivation);
  try {
    const header = {
      format: 'kazasu-sealed',
      formatVersion: 1,
      purpose,
      derivation,
      check: Buffer.from(sealingKey.check).toString('hex'),
      nonce: randomBytes(12).toString('hex'),
      attributes,
    };
    const ciphertext = await subtle.encrypt(
      gcm(header.nonce, header),
      await gcmKey(sealingKey),
      new Uint8Array(secret),
    );
    const sealed = Buffer.from(ciphertext).toString('base64');
    return Buffer.from(`${JSON.stringify({ ...header, sealed })}\n`);
  } finally {
    zero(sealingKey);
  }
}

function parse(file: string, content: Uint8Array): z.output<typeof formatSchema> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(content));
  } catch {
    throw damaged(file);
  }
  const version = z
    .looseObject({ format: z.literal('kazasu-sealed'), formatVersion: z.number() })
    .safeParse(value);
  if (version.success && version.data.formatVersion !== 1) {
    throw new Fault('key-file-invalid', `${file} was written by a newer version; upgrade this one`);
  }
  const result = formatSchema.safeParse(value);
  if (!result.success) throw damaged(file);
  return result.data;
}

/** The file's own words stay out of messages: what somebody put there may be a key. */
function damaged(file: string, cause?: unknown): Fault {
  return new Fault('key-file-invalid', `${file} is damaged, or has been changed; restore it from a backup`, {
    cause,
  });
}

function gcm(nonce: string, header: object): webcrypto.AesGcmParams {
  const additionalData = new TextEncoder().encode(JSON.stringify(header));
  return { name: 'AES-GCM', iv: Buffer.from(nonce, 'hex'), additionalData };
}

function gcmKey({ key }: SealingKey): Promise<webcrypto.CryptoKey> {
  return subtle.importKey('raw', new Uint8Array(key), 'AES-GCM', false, ['encrypt', 'decrypt']);
}

function zero({ key, check }: SealingKey): void {
  key.fill(0);
  check.fill(0);
}
