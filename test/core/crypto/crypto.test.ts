import { createCipheriv, createDecipheriv } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromHex, toHex, xorInto } from '#core/bytes/bytes.ts';
import { AesCbc } from '#core/crypto/aes.ts';
import { AesCmac, cmacSubkeys } from '#core/crypto/cmac.ts';
import { counterKdf } from '#core/crypto/counter-kdf.ts';
import { digest } from '#core/crypto/digest.ts';
import { padIso9797, unpadIso9797 } from '#core/crypto/padding.ts';
import { retailMac, tripleDesCbcEncrypt, withDesParity } from '#core/crypto/triple-des.ts';
import { erasedBy } from '../erased.ts';

const fixed = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const blocks = fc.integer({ min: 1, max: 6 }).chain((count) => fixed(16 * count));

describe('AES in CBC mode on one cipher object for each direction', () => {
  test('equals a fresh cipher for every message, in any order', () => {
    const messages = fc.array(fc.record({ encrypt: fc.boolean(), iv: fixed(16), data: blocks }), {
      maxLength: 8,
    });
    fc.assert(
      fc.property(fc.constantFrom(16, 24, 32).chain(fixed), messages, (key, sequence) => {
        const aes = new AesCbc(key);
        for (const { encrypt, iv, data } of sequence) {
          const create = encrypt ? createCipheriv : createDecipheriv;
          const once = create(`aes-${key.length * 8}-cbc`, key, iv).setAutoPadding(false);
          const before = toHex(data);
          const result = encrypt ? aes.encrypt(iv, data) : aes.decrypt(iv, data);
          expect(toHex(result)).toBe(toHex(once.update(data)));
          expect(toHex(data)).toBe(before);
        }
      }),
    );
  });

  test('takes whole blocks alone, keeps a copy of the key, and nothing once closed', () => {
    const key = Buffer.alloc(16, 1);
    const iv = new Uint8Array(16);
    const aes = new AesCbc(key);
    const expected = toHex(new AesCbc(new Uint8Array(16).fill(1)).encrypt(iv, iv));
    key.fill(0);
    expect(toHex(aes.encrypt(iv, iv))).toBe(expected);
    for (const length of [0, 15, 17]) {
      expect(() => aes.encrypt(iv, new Uint8Array(length))).toThrow('whole blocks');
      expect(() => aes.decrypt(iv, new Uint8Array(length))).toThrow('whole blocks');
    }
    aes.close();
    aes.close();
    expect(() => aes.encrypt(iv, iv)).toThrow('closed');
    expect(() => aes.decrypt(iv, iv)).toThrow('closed');
  });

  test.each(['encryption', 'decryption'] as const)('%s prepared ahead comes to the same', (direction) => {
    const key = new Uint8Array(16).fill(1);
    const [iv, data] = [new Uint8Array(16).fill(2), new Uint8Array(32).fill(3)];
    const both = (aes: AesCbc) => [toHex(aes.encrypt(iv, data)), toHex(aes.decrypt(iv, data))];
    const prepared = new AesCbc(key);
    prepared.prepare(direction);
    expect(both(prepared)).toEqual(both(new AesCbc(key)));
    prepared.close();
    expect(() => prepared.prepare(direction)).toThrow('closed');
  });

  test('what it was given to encrypt stays where it was and nowhere else', () => {
    const aes = new AesCbc(new Uint8Array(16));
    const secret = new Uint8Array(16).fill(0x5a);
    expect(erasedBy(() => aes.encrypt(new Uint8Array(16), secret))).toEqual([toHex(secret)]);
    expect(toHex(secret)).toBe('5A'.repeat(16));
  });
});

test('bytes are added to the first ones, and to no more than there are', () => {
  const target = fromHex('0F0F0F');
  xorInto(target, fromHex('FF01'));
  expect(toHex(target)).toBe('F00E0F');
  expect(() => xorInto(target, new Uint8Array(4))).toThrow('4 bytes into 3');
});

describe('padding method 2', () => {
  test('pads always, by less than two blocks, and comes off again', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.constantFrom(8, 16), (data, block) => {
        const padded = padIso9797(data, block);
        expect(padded.length % block).toBe(0);
        expect(padded.length - data.length).toBeGreaterThan(0);
        expect(padded.length - data.length).toBeLessThanOrEqual(block);
        expect(unpadIso9797(padded, block)).toEqual(data);
      }),
    );
  });

  test.each([
    '',
    '80',
    '0000000000000000',
    '1122334455667788',
    '8000000000000001',
    '80000000000000000000000000000000',
    '11223344556677800000000000000000',
    '112233445566778000',
  ])('%j is not padded to 8 bytes', (hex) => {
    expect(unpadIso9797(fromHex(hex), 8)).toBeUndefined();
  });
});

test('the retail MAC of ISO 9797-1 MAC algorithm 3, one block and many', () => {
  // ICAO Doc 9303-11, appendix D.4: MAC of the first protected command
  const key = fromHex('F1CB1F1FB5ADF208806B89DC579DC1F8');
  const message = fromHex('887022120C06C2270CA4020C800000008709016375432908C044F6');
  expect(toHex(retailMac(key, message))).toBe('BF8B92D635FF24F8');
  expect(retailMac(key, new Uint8Array())).toHaveLength(8);
  expect(() => retailMac(key.subarray(0, 8), message)).toThrow('a key of 16 bytes');
});

test('DES parity is odd in every byte and changes the lowest bit alone', () => {
  const adjusted = withDesParity(Uint8Array.from({ length: 256 }, (_, i) => i));
  adjusted.forEach((byte, i) => {
    expect(byte >> 1).toBe(i >> 1);
    expect(byte.toString(2).replaceAll('0', '').length % 2).toBe(1);
  });
});

test('SHA-1 and SHA-256 of "abc" (FIPS 180-4)', () => {
  const abc = new TextEncoder().encode('abc');
  expect(toHex(digest('sha-1', abc))).toBe('A9993E364706816ABA3E25717850C26C9CD0D89D');
  expect(toHex(digest('sha-256', abc))).toBe(
    'BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD',
  );
});

describe('copies of keys, and what they follow from, are zeroed', () => {
  const [first, second] = ['0123456789ABCDEF', 'FEDCBA9876543210'] as const;
  const key = fromHex(first + second);

  test('the three keys of triple DES, and of the single DES of a retail MAC, of refused ones too', () => {
    const erased = erasedBy(() => retailMac(key, new Uint8Array(20)));
    expect(erased).toEqual([first.repeat(3), first.repeat(2), first + second + first]);
    expect(erasedBy(() => expect(() => tripleDesCbcEncrypt(key, key, key)).toThrow())).toContain(
      first + second + first,
    );
  });

  test('the block that the subkeys of CMAC follow from, where it was made and in the chain of the cipher', () => {
    const encryptedZeros = toHex(new AesCbc(key).lastBlock(new Uint8Array(16)));
    const erased = erasedBy(() => new AesCmac(key).close());
    expect(erased.filter((piece) => piece === encryptedZeros)).toHaveLength(2);
  });

  test('the blocks that keys are derived by, and both subkeys of CMAC', () => {
    const cmac = new AesCmac(key);
    const after = Uint8Array.of(7);
    const block = cmac.mac(Uint8Array.of(1, 7));
    expect(erasedBy(() => counterKdf(cmac, { after }, 16))).toContain(toHex(block));
    const subkeys = cmacSubkeys(new AesCbc(key).lastBlock(new Uint8Array(16)));
    const erased = erasedBy(() => cmac.close());
    expect(erased).toEqual(expect.arrayContaining([toHex(subkeys.k1), toHex(subkeys.k2)]));
  });

  test('a block masked with a subkey of CMAC, which tells it', () => {
    const cmac = new AesCmac(key);
    const erased = erasedBy(() => cmac.mac(new Uint8Array(16)));
    const [, , subkey] = erasedBy(() => cmac.close());
    expect(subkey).toMatch(/^[0-9A-F]{32}$/);
    expect(erased).toContain(subkey);
  });
});
