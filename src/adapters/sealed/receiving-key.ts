import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { makeFolder } from '#adapters/process/ownership.ts';
import { toHex } from '#core/bytes/bytes.ts';
import type { Sealing } from '#core/config/key-source.ts';
import { digest } from '#core/crypto/digest.ts';
import { Fault } from '#core/fault.ts';
import { unreadable } from '#core/file-fault.ts';
import { createSealed, openSealed, type SealedFile } from './sealed-file.ts';

/** What a terminal tells the centre, so that keys can be exported for it alone. */
export const receiverSchema = z.strictObject({
  format: z.literal('kazasu-receiver'),
  formatVersion: z.literal(1),
  terminal: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'is no name of a terminal'),
  /** SubjectPublicKeyInfo of an ECDH P-256 key, base64 */
  publicKey: z.base64(),
});
export type Receiver = z.output<typeof receiverSchema>;

const attributesSchema = receiverSchema.pick({ terminal: true, publicKey: true });

const fileIn = (directory: string, sealing: Sealing): SealedFile => ({
  file: receivingKeyFile(directory),
  purpose: 'receiving card keys',
  sealing,
});

export const receivingKeyFile = (directory: string): string => join(directory, 'receiving-key');

/** The terminal's key for receiving card keys, sealed to it. */
export interface ReceivingKey {
  readonly terminal: string;
  readonly privateKey: KeyObject;
}

/**
 * Makes the receiving key of a terminal, and what to give the centre. Rejects with `key-refused` where there is one:
 * another would make what is installed unreadable.
 */
export async function makeReceivingKey(
  directory: string,
  { sealing, terminal }: { readonly sealing: Sealing; readonly terminal: string },
): Promise<Receiver> {
  try {
    makeFolder(directory);
  } catch (error) {
    throw unreadable(directory, error);
  }
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const publicKey = pair.publicKey.export({ format: 'der', type: 'spki' }).toString('base64');
  const secret = pair.privateKey.export({ format: 'der', type: 'pkcs8' });
  try {
    await createSealed(fileIn(directory, sealing), { attributes: { terminal, publicKey }, secret });
  } finally {
    secret.fill(0);
  }
  return { format: 'kazasu-receiver', formatVersion: 1, terminal, publicKey };
}

/** What the centre was given, or will be once more. */
export async function describeReceiver(directory: string, sealing: Sealing): Promise<Receiver> {
  const { attributes, secret } = await openSealed(fileIn(directory, sealing), attributesSchema);
  secret.fill(0);
  return { format: 'kazasu-receiver', formatVersion: 1, ...attributes };
}

/** Opens the receiving key. Rejects with the faults of a sealed file. */
export async function openReceivingKey(directory: string, sealing: Sealing): Promise<ReceivingKey> {
  const { attributes, secret } = await openSealed(fileIn(directory, sealing), attributesSchema);
  try {
    const privateKey = createPrivateKey({ key: Buffer.from(secret), format: 'der', type: 'pkcs8' });
    return { terminal: attributes.terminal, privateKey };
  } finally {
    secret.fill(0);
  }
}

/** The public key of a receiver. Throws a Fault `key-file-invalid` for one that is no ECDH P-256 key. */
export function receiverKey({ publicKey }: Receiver): KeyObject {
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey, 'base64'), format: 'der', type: 'spki' });
    if (key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return key;
  } catch {
    // told below
  }
  throw new Fault('key-file-invalid', 'the receiver has no ECDH P-256 public key');
}

/** What the terminal shows of itself, to be compared another way before keys are exported for it. */
export function receiverFingerprint({ publicKey }: Receiver): string {
  return fingerprint(Buffer.from(publicKey, 'base64'));
}

/** 16 bytes of the SHA-256 of `content`, in groups of four digits that a person can read out. */
export function fingerprint(content: Uint8Array): string {
  const hex = toHex(digest('sha-256', content).subarray(0, 16));
  return hex.match(/.{4}/g)?.join(' ') ?? '';
}

/** Whether a person gave this fingerprint, however they set spaces and letters. */
export function isFingerprint(given: string, expected: string): boolean {
  const compact = (text: string) => text.replaceAll(' ', '').toUpperCase();
  return compact(given) === compact(expected);
}
