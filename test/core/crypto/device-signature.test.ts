import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { isSignedBy, parseDevicePublicKey } from '#core/crypto/device-signature.ts';

const device = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const der = (key: KeyObject): Buffer => key.export({ format: 'der', type: 'spki' });

describe('the public key of a device', () => {
  test('is the same from DER bytes, wherever they lie, and from PEM text', () => {
    const spki = der(device.publicKey);
    const keyId = createHash('sha256').update(spki).digest('hex').toUpperCase();
    const within = new Uint8Array(Buffer.concat([Buffer.alloc(3), spki])).subarray(3);
    const pem = device.publicKey.export({ format: 'pem', type: 'spki' }).toString();
    for (const given of [spki, within, pem]) expect(parseDevicePublicKey(given)).toMatchObject({ keyId });
  });

  test.each([
    ['of another curve', der(generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey)],
    ['of another kind', der(generateKeyPairSync('ed25519').publicKey)],
    ['RSA', der(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey)],
    ['cut off', der(device.publicKey).subarray(0, -1)],
    ['no key', new Uint8Array(8)],
    ['empty', ''],
    ['a private key', device.privateKey.export({ format: 'der', type: 'pkcs8' })],
  ])('is none when %s', (_name, given) => {
    expect(parseDevicePublicKey(given)).toBeUndefined();
  });
});

describe('a signature of a device', () => {
  const message = new TextEncoder().encode('an entry');
  const signed = (format: 'ieee-p1363' | 'der', digest = 'sha256') =>
    sign(digest, message, { key: device.privateKey, dsaEncoding: format });
  const key = parseDevicePublicKey(der(device.publicKey));
  const holds = (signature: Uint8Array, of = message) => key && isSignedBy(key, of, signature);

  test('holds for the message it was made of, by the key it was made with', () => {
    const signature = signed('ieee-p1363');
    expect(holds(signature)).toBe(true);
    expect(holds(signature, message.subarray(1))).toBe(false);
    const other = parseDevicePublicKey(der(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey));
    expect(other && isSignedBy(other, message, signature)).toBe(false);
  });

  test('is r || s by SHA-256, of 64 bytes, and nothing else', () => {
    const signature = signed('ieee-p1363');
    expect(holds(signed('der'))).toBe(false);
    expect(holds(signed('ieee-p1363', 'sha512'))).toBe(false);
    for (const other of [
      new Uint8Array(),
      signature.subarray(1),
      Buffer.concat([signature, Buffer.alloc(1)]),
    ])
      expect(holds(other)).toBe(false);
  });
});
