import { randomBytes, webcrypto } from 'node:crypto';
import { link, open, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { toHex } from '#core/bytes/bytes.ts';
import { digest } from '#core/crypto/digest.ts';
import { Fault } from '#core/fault.ts';
import type { Signing } from '#ports/signing.ts';

const { subtle } = webcrypto;
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/**
 * The device's signing key from `directory`: `device-key.p8` (PKCS#8, readable by its owner alone), made at first use,
 * and `device-key.pub.pem` beside it, to be kept outside for `journal verify`.
 *
 * @throws Fault `key-file-invalid` for a key file that others may read or that holds no ECDSA P-256 key,
 * `key-unavailable` when the directory cannot be read or written
 */
export async function openDeviceKey(directory: string): Promise<Signing> {
  const file = join(directory, 'device-key.p8');
  const signing = await signingOf(file, (await readKey(file)) ?? (await makeKey(file)));
  await publish(join(directory, 'device-key.pub.pem'), signing.publicKey());
  return signing;
}

/** The key in `file` (PKCS#8). Rejects as `openDeviceKey`, and with `key-unavailable` where there is none. */
export async function openKeyFile(file: string): Promise<Signing> {
  const pkcs8 = await readKey(file);
  if (!pkcs8) throw new Fault('key-unavailable', `${file}: there is no key`);
  return signingOf(file, pkcs8);
}

/** Makes a key in `file`, its public key in `file`.pub.pem. Rejects with `key-refused` where there is one already. */
export async function makeKeyFile(file: string): Promise<Signing> {
  if (await readKey(file)) throw new Fault('key-refused', `${file} is there already, and is left as it is`);
  const signing = await signingOf(file, await makeKey(file));
  await publish(`${file}.pub.pem`, signing.publicKey());
  return signing;
}

async function signingOf(file: string, pkcs8: Uint8Array): Promise<Signing> {
  const { privateKey, publicKey } = await importKey(file, pkcs8);
  const spki = new Uint8Array(await subtle.exportKey('spki', publicKey));
  const keyId = toHex(digest('sha-256', spki));
  return {
    keyId: () => keyId,
    publicKey: () => spki.slice(),
    sign: async (message) => new Uint8Array(await subtle.sign(algorithm, privateKey, copy(message))),
  };
}

/** PEM text of a SubjectPublicKeyInfo (RFC 7468). */
export function publicKeyPem(spki: Uint8Array): string {
  const lines =
    Buffer.from(spki)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return ['-----BEGIN PUBLIC KEY-----', ...lines, '-----END PUBLIC KEY-----', ''].join('\n');
}

async function readKey(file: string): Promise<Uint8Array | undefined> {
  try {
    const { mode } = await stat(file);
    if ((mode & 0o077) !== 0) {
      const now = (mode & 0o777).toString(8);
      throw new Fault('key-file-invalid', `${file} may be read by others (mode ${now}); run chmod 600 on it`);
    }
    return await readFile(file);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw unavailable(file, error);
  }
}

/** Makes a key and puts it in place durably; where another process was quicker, its key counts. */
async function makeKey(file: string): Promise<Uint8Array> {
  const pair = await subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const pkcs8 = new Uint8Array(await subtle.exportKey('pkcs8', pair.privateKey));
  const unfinished = `${file}.${randomBytes(6).toString('hex')}`;
  try {
    await writeDurably(unfinished, pkcs8, 0o600);
    await link(unfinished, file);
    await syncDirectory(join(file, '..'));
    return pkcs8;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return (await readKey(file)) ?? pkcs8;
    throw unavailable(file, error);
  } finally {
    await rm(unfinished, { force: true });
  }
}

/** The key pair; the public key is what the private one implies, never a file beside it. */
async function importKey(file: string, pkcs8: Uint8Array) {
  try {
    const exportable = await subtle.importKey('pkcs8', copy(pkcs8), algorithm, true, ['sign']);
    const { kty, crv, x, y } = await subtle.exportKey('jwk', exportable);
    const point = { kty, crv, x, y } as webcrypto.JsonWebKey;
    const publicKey = await subtle.importKey('jwk', point, algorithm, true, ['verify']);
    const privateKey = await subtle.importKey('pkcs8', copy(pkcs8), algorithm, false, ['sign']);
    return { privateKey, publicKey };
  } catch (error) {
    throw new Fault('key-file-invalid', `${file} holds no ECDSA P-256 private key (PKCS#8)`, {
      cause: error,
    });
  } finally {
    pkcs8.fill(0);
  }
}

async function publish(file: string, spki: Uint8Array): Promise<void> {
  const pem = publicKeyPem(spki);
  try {
    if ((await readFile(file, 'utf8').catch(() => '')) === pem) return;
    await rm(file, { force: true });
    await writeDurably(file, new TextEncoder().encode(pem), 0o644);
  } catch (error) {
    throw unavailable(file, error);
  }
}

async function writeDurably(file: string, content: Uint8Array, mode: number): Promise<void> {
  const handle = await open(file, 'wx', mode);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A copy on a plain ArrayBuffer, as Web Crypto asks for. */
function copy(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}

function unavailable(file: string, error: unknown): unknown {
  if (error instanceof Fault) return error;
  const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
  return new Fault('key-unavailable', `${file}: the device key cannot be read or made (${code})`, {
    cause: error,
  });
}
