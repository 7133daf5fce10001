import { describe, expect, test } from 'vitest';
import { fromHex, toHex } from '#core/bytes/bytes.ts';
import { cardKeySteps, checkValueSteps, deriveCardKeys, runSteps } from '#core/card/diversification.ts';
import { AesCbc } from '#core/crypto/aes.ts';
import { cmacSubkeys } from '#core/crypto/cmac.ts';
import { erasedBy } from '../erased.ts';

const master = (length: number) => Uint8Array.from({ length }, (_, i) => 0x40 + i);
const diversifier = fromHex('4B415A41535500000001');

describe('a diversifier', () => {
  test.each(['kdf3', 'an10922'] as const)('has 1 to 30 bytes with %s', (diversification) => {
    const keys = (length: number) =>
      deriveCardKeys(master(16), diversification, new Uint8Array(length).fill(1));
    expect(keys(1).encryption).not.toEqual(keys(30).encryption);
    for (const length of [0, 31]) expect(() => keys(length)).toThrow('no diversifier of 1 to 30 bytes');
  });
});

test('a master key has 16, 24 or 32 bytes, and the keys of its cards as many', () => {
  for (const length of [16, 24, 32]) {
    for (const diversification of ['kdf3', 'an10922'] as const) {
      const { encryption, mac } = deriveCardKeys(master(length), diversification, diversifier);
      expect([encryption.length, mac.length]).toEqual([length, length]);
      expect(toHex(encryption)).not.toBe(toHex(mac));
    }
  }
  expect(() => deriveCardKeys(master(20), 'kdf3', diversifier)).toThrow(
    'a master key has 16, 24 or 32 bytes',
  );
});

test.each([
  ['kdf3', 16, [2]],
  ['kdf3', 24, [4]],
  ['kdf3', 32, [4]],
  ['an10922', 16, [1, 2]],
  ['an10922', 24, [1, 4]],
  ['an10922', 32, [1, 4]],
] as const)(
  '%s with %i bytes asks the master key, which may lie in a slow token, no more than it needs',
  (...it) => {
    const [diversification, length, batches] = it;
    const asked: number[] = [];
    const steps = cardKeySteps(diversification, length, diversifier);
    let step = steps.next();
    while (!step.done) {
      asked.push(step.value.length);
      step = steps.next(step.value.map(() => new Uint8Array(16)));
    }
    expect(asked).toEqual(batches);
  },
);

describe('nothing that tells keys stays in memory', () => {
  const zeros = new Uint8Array(16);

  test.each(['kdf3', 'an10922'] as const)(
    'of %s: neither the copy of the master key nor any block',
    (diversification) => {
      const key = master(24);
      const { encryption, mac } = deriveCardKeys(key, diversification, diversifier);
      const erased = erasedBy(() => deriveCardKeys(key, diversification, diversifier));
      expect(erased).toContain(toHex(key));
      for (const own of [encryption, mac]) {
        const start = toHex(own).slice(0, 16);
        expect(erased.some((it) => it.startsWith(start))).toBe(true);
      }
      // kdf3 joins blocks of 32 bytes, and cuts them
      const joined = erased.filter((it) => it.length === 64);
      if (diversification === 'kdf3') expect(joined).toHaveLength(2);
    },
  );

  test('of AN10922: the encrypted zeros and both subkeys', () => {
    const encryptedZeros = new AesCbc(master(16)).lastBlock(zeros);
    const { k1, k2 } = cmacSubkeys(encryptedZeros);
    const erased = erasedBy(() => deriveCardKeys(master(16), 'an10922', diversifier));
    expect(erased).toEqual(expect.arrayContaining([encryptedZeros, k1, k2].map((one) => toHex(one))));
  });

  test('of a check value: what it is cut from, and what the subkeys come from', () => {
    const cipher = new AesCbc(master(16));
    const encryptedZeros = cipher.lastBlock(zeros);
    const { k1, k2 } = cmacSubkeys(encryptedZeros);
    const mac = cipher.lastBlock(k1);
    let checkValue: Uint8Array | undefined;
    const erased = erasedBy(() => {
      checkValue = runSteps(checkValueSteps('an10922'), (input) => new AesCbc(master(16)).lastBlock(input));
    });
    expect(toHex(checkValue ?? zeros)).toBe(toHex(mac.subarray(0, 5)));
    // k1 as a subkey, as the masked block of zeros, and as the cipher's copy of that
    expect(erased).toEqual([encryptedZeros, k1, k2, k1, k1, mac].map((one) => toHex(one)));
  });
});
