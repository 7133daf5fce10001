import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { concat, fromHex, toHex } from '#core/bytes/bytes.ts';
import {
  an10922Steps,
  cardKeySteps,
  checkValueSteps,
  deriveCardKeys,
  isMasterKeyLength,
  runSteps,
} from '#core/card/diversification.ts';
import { AesCbc } from '#core/crypto/aes.ts';
import { AesCmac } from '#core/crypto/cmac.ts';

const vectors = JSON.parse(readFileSync(new URL('key-derivation.json', import.meta.url), 'utf8'));

function an10922(master: Uint8Array, input: Uint8Array): string {
  const { length } = master;
  if (!isMasterKeyLength(length)) throw new Error('no length of a master key');
  const cipher = new AesCbc(master);
  return toHex(
    runSteps(an10922Steps(length, [input]), (blocks) => cipher.lastBlock(blocks))[0] ?? new Uint8Array(),
  );
}

describe('AN10922', () => {
  test.each<{ key: string; m: string; diversified: string }>(vectors.an10922.sets)(
    'master $key',
    ({ key, m, diversified }) => {
      expect(an10922(fromHex(key), fromHex(m))).toBe(diversified);
    },
  );

  // sections 3.2 and 3.3 of the application note, whose input is that of 3.1
  test.each([
    ['00112233445566778899AABBCCDDEEFF0102030405060708', 'CE39C8E1CD82D9A7BEDBE9D74AF59B23176755EE7586E12C'],
    [
      '00112233445566778899AABBCCDDEEFF0102030405060708090A0B0C0D0E0F00',
      '4FC6EEC820B4C54314990B8611662DB695E7880982C0001E6067488346100AED',
    ],
  ])('master %s', (key, diversified) => {
    expect(an10922(fromHex(key), fromHex('04782E21801D803042F54E585020416275'))).toBe(diversified);
  });

  test('is not plain CMAC for a short input, and is for a long one', () => {
    const key = new Uint8Array(16).fill(5);
    const plain = (input: Uint8Array) => toHex(new AesCmac(key).mac(concat(Uint8Array.of(1), input)));
    expect(an10922(key, new Uint8Array(10))).not.toBe(plain(new Uint8Array(10)));
    for (const length of [16, 30, 31])
      expect(an10922(key, new Uint8Array(length))).toBe(plain(new Uint8Array(length)));
  });

  test('gives a card two keys, told apart by the first byte of M', () => {
    const master = fromHex('00112233445566778899AABBCCDDEEFF');
    const { encryption, mac } = deriveCardKeys(master, 'an10922', fromHex('4B415A41535500000001'));
    expect(toHex(encryption)).toBe(an10922(master, fromHex('014B415A41535500000001')));
    expect(toHex(mac)).toBe(an10922(master, fromHex('024B415A41535500000001')));
  });
});

describe('KDF3', () => {
  const [{ master, kdd, enc, mac, kcv }] = vectors.kdf3.sets;

  test('gives the keys for encryption and MAC', () => {
    const keys = deriveCardKeys(fromHex(master), 'kdf3', fromHex(kdd));
    expect([toHex(keys.encryption), toHex(keys.mac)]).toEqual([enc, mac]);
  });

  test('the keys have the published check values: a block of 01 encrypted', () => {
    const keys = deriveCardKeys(fromHex(master), 'kdf3', fromHex(kdd));
    const check = (key: Uint8Array) =>
      toHex(new AesCbc(key).lastBlock(new Uint8Array(16).fill(1)).slice(0, 3));
    expect([check(keys.encryption), check(keys.mac)]).toEqual([kcv.enc, kcv.mac]);
  });

  test.each([24, 32])('a master of %i bytes gives keys as long, from two blocks counted from 1', (length) => {
    const long = Uint8Array.from({ length }, (_, i) => i);
    const { encryption, mac } = deriveCardKeys(long, 'kdf3', fromHex(kdd));
    const block = (i: number, k: number) =>
      new AesCmac(long).mac(concat(Uint8Array.of(i, 0, 0, 0, k, 0), fromHex(kdd)));
    expect(toHex(encryption)).toBe(toHex(concat(block(1, 1), block(2, 1)).slice(0, length)));
    expect(toHex(mac)).toBe(toHex(concat(block(1, 2), block(2, 2)).slice(0, length)));
  });
});

describe('key check value', () => {
  const master = Uint8Array.from({ length: 24 }, (_, i) => i + 1);
  const expected = toHex(new AesCmac(master).mac(new Uint8Array(16)).slice(0, 5));

  test('is one number for a key, whichever operation it is permitted', () => {
    const byCmac = runSteps(checkValueSteps('kdf3'), (input) => new AesCmac(master).mac(input));
    const byEncryption = runSteps(checkValueSteps('an10922'), (input) => new AesCbc(master).lastBlock(input));
    expect([toHex(byCmac), toHex(byEncryption)]).toEqual([expected, expected]);
  });
});

describe('a derivation', () => {
  test.each([undefined, new Uint8Array(0), new Uint8Array(31)])(
    'refuses the diversifier %o',
    (diversifier) => {
      for (const diversification of ['kdf3', 'an10922'] as const) {
        const steps = cardKeySteps(diversification, 16, diversifier);
        expect(() => steps.next()).toThrow(expect.objectContaining({ code: 'key-unavailable' }));
      }
    },
  );

  test.each([15, 17, 0])('refuses a master of %i bytes', (length) => {
    expect(() => deriveCardKeys(new Uint8Array(length), 'kdf3', new Uint8Array(10))).toThrow(TypeError);
  });

  test('zeroes what the operation of the master key handed it', () => {
    const master = new Uint8Array(32).fill(7);
    for (const diversification of ['kdf3', 'an10922'] as const) {
      const diversifier = fromHex('00010203040506070809');
      const handed: Uint8Array[] = [];
      const cipher = diversification === 'kdf3' ? new AesCmac(master) : new AesCbc(master);
      const operation = (input: Uint8Array) => {
        const result = cipher instanceof AesCmac ? cipher.mac(input) : cipher.lastBlock(input);
        handed.push(result);
        return result;
      };
      const keys = runSteps(cardKeySteps(diversification, 32, diversifier), operation);
      expect(keys).toEqual(deriveCardKeys(master, diversification, diversifier));
      expect(handed.every((result) => result.every((byte) => byte === 0))).toBe(true);
    }
  });
});
