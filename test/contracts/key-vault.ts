import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fromHex, toHex } from '#core/bytes/bytes.ts';
import { type Diversification, deriveCardKeys } from '#core/card/diversification.ts';
import type { CardKeyRequest } from '#core/card/keys.ts';
import { AesCmac } from '#core/crypto/cmac.ts';
import { isFault } from '#core/fault.ts';
import type { KeyVault } from '#ports/key-vault.ts';

/** A vault under test. */
export interface KeyVaultRig {
  /** empty and started */
  readonly vault: KeyVault;
  /** another vault object on the same keys, as after a restart; started */
  again(): Promise<KeyVault>;
  close(): Promise<void>;
}

const master = (length: number, seed = 1) => Uint8Array.from({ length }, (_, i) => (i * 7 + seed) & 0xff);
const diversifier = fromHex('00010203040506070809');
const hexOf = ({ encryption, mac }: { encryption: Uint8Array; mac: Uint8Array }) => [
  toHex(encryption),
  toHex(mac),
];
const checkValue = (key: Uint8Array) => toHex(new AesCmac(key).mac(new Uint8Array(16)).slice(0, 5));

/** What every key vault does; `shared` tells what it makes of master keys that all cards share. */
export function keyVaultContract(
  name: string,
  options: { readonly shared: 'served' | 'refused' },
  open: () => Promise<KeyVaultRig>,
): void {
  describe(`key vault: ${name}`, () => {
    let rig: KeyVaultRig;
    let vault: KeyVault;
    beforeEach(async () => {
      rig = await open();
      vault = rig.vault;
    });
    afterEach(() => rig.close());

    const add = (version: number, diversification: Diversification, key: Uint8Array, profileId = 'type-a') =>
      vault.add({ profileId, version, diversification, key: key.slice() });
    const ask = (keyVersion: number, changes: Partial<CardKeyRequest> = {}) =>
      vault.cardKeys({ profileId: 'type-a', keyVersion, diversification: 'kdf3', diversifier, ...changes });

    for (const diversification of ['kdf3', 'an10922'] as const) {
      test.each([16, 24, 32])(`derives by ${diversification} from a master of %i bytes`, async (length) => {
        await add(1, diversification, master(length));
        for (const input of [diversifier, Uint8Array.of(9), new Uint8Array(15).fill(3), new Uint8Array(30)]) {
          const keys = await ask(1, { diversification, diversifier: input });
          expect(hexOf(keys)).toEqual(hexOf(deriveCardKeys(master(length), diversification, input)));
        }
      });
    }

    test(`a master key that all cards share is ${options.shared}`, async () => {
      const key = master(16);
      if (options.shared === 'refused') {
        await expect(add(1, 'none', key)).rejects.toMatchObject({ code: 'key-refused' });
        await expect(ask(1, { diversification: 'none' })).rejects.toMatchObject({ code: 'key-unavailable' });
        return;
      }
      await add(1, 'none', key);
      const first = await ask(1, { diversification: 'none' });
      expect(hexOf(first)).toEqual([toHex(key), toHex(key)]);
      first.encryption.fill(0);
      expect(toHex(first.mac)).toBe(toHex(key));
      expect(hexOf(await ask(1, { diversification: 'none' }))).toEqual([toHex(key), toHex(key)]);
    });

    test('serves what it has, and names nothing else', async () => {
      await add(1, 'kdf3', master(16));
      for (const absent of [ask(2), ask(1, { profileId: 'type-d' })])
        await expect(absent).rejects.toMatchObject({ code: 'card-key-missing' });
      const refused = [
        ask(1, { diversification: 'an10922' }),
        ask(1, { diversifier: new Uint8Array(0) }),
        ask(1, { diversifier: new Uint8Array(31) }),
        vault.cardKeys({ profileId: 'type-a', keyVersion: 1, diversification: 'kdf3' }),
      ];
      for (const asked of refused) await expect(asked).rejects.toMatchObject({ code: 'key-unavailable' });
      await expect(ask(1)).resolves.toBeDefined();
    });

    test('gives keys of their own to each receiver, who may zero them', async () => {
      await add(1, 'an10922', master(16));
      const keys = await ask(1, { diversification: 'an10922' });
      const before = hexOf(keys);
      keys.encryption.fill(0);
      keys.mac.fill(0);
      expect(hexOf(await ask(1, { diversification: 'an10922' }))).toEqual(before);
    });

    test('tells keys apart by check values, in order, and shows none', async () => {
      await add(2, 'an10922', master(32, 2), 'type-d');
      await add(1, 'an10922', master(24, 3), 'type-d');
      const added = await add(7, 'kdf3', master(16));
      const listed = await vault.list();
      expect(listed).toEqual([
        {
          profileId: 'type-a',
          version: 7,
          diversification: 'kdf3',
          length: 16,
          checkValue: checkValue(master(16)),
        },
        {
          profileId: 'type-d',
          version: 1,
          diversification: 'an10922',
          length: 24,
          checkValue: checkValue(master(24, 3)),
        },
        {
          profileId: 'type-d',
          version: 2,
          diversification: 'an10922',
          length: 32,
          checkValue: checkValue(master(32, 2)),
        },
      ]);
      expect(added).toEqual(listed[0]);
    });

    test('takes a key in once, zeroes what it was handed, and refuses other lengths', async () => {
      const handed = master(16);
      await vault.add({ profileId: 'type-a', version: 1, diversification: 'kdf3', key: handed });
      expect(handed.every((byte) => byte === 0)).toBe(true);
      const refused = master(16, 9);
      await expect(
        vault.add({ profileId: 'type-a', version: 1, diversification: 'kdf3', key: refused }),
      ).rejects.toMatchObject({ code: 'key-refused' });
      expect(refused.every((byte) => byte === 0)).toBe(true);
      await expect(add(2, 'kdf3', master(15))).rejects.toMatchObject({ code: 'key-refused' });
      expect(hexOf(await ask(1))).toEqual(hexOf(deriveCardKeys(master(16), 'kdf3', diversifier)));
    });

    test('destroys a key for good, and only that one', async () => {
      await add(1, 'kdf3', master(16, 1));
      await add(2, 'kdf3', master(24, 2));
      await add(3, 'kdf3', master(32, 3));
      await vault.destroy({ profileId: 'type-a', version: 2 });
      await expect(ask(2)).rejects.toMatchObject({ code: 'card-key-missing' });
      await expect(vault.destroy({ profileId: 'type-a', version: 2 })).rejects.toMatchObject({
        code: 'card-key-missing',
      });
      const other = await rig.again();
      expect((await other.list()).map(({ version }) => version)).toEqual([1, 3]);
      const keys = await other.cardKeys({
        profileId: 'type-a',
        keyVersion: 3,
        diversification: 'kdf3',
        diversifier,
      });
      expect(hexOf(keys)).toEqual(hexOf(deriveCardKeys(master(32, 3), 'kdf3', diversifier)));
      await other.stop();
    });

    test('serves many at once, each with its own keys', async () => {
      await add(1, 'kdf3', master(16));
      await add(2, 'an10922', master(32, 2));
      const inputs = Array.from({ length: 200 }, (_, i) => Uint8Array.of(i, 1, 2, 3));
      const all = await Promise.all(
        inputs.map((input, i) =>
          i % 2 === 0
            ? ask(1, { diversifier: input })
            : ask(2, { diversification: 'an10922', diversifier: input }),
        ),
      );
      all.forEach((keys, i) => {
        const input = inputs[i] ?? new Uint8Array();
        const expected =
          i % 2 === 0
            ? deriveCardKeys(master(16), 'kdf3', input)
            : deriveCardKeys(master(32, 2), 'an10922', input);
        expect(hexOf(keys)).toEqual(hexOf(expected));
      });
    });

    test('several changes at once all hold', async () => {
      await Promise.all([1, 2, 3].map((version) => add(version, 'kdf3', master(16, version))));
      expect((await vault.list()).map(({ version }) => version)).toEqual([1, 2, 3]);
    });

    test('a stop in the middle leaves no call hanging, and later ones are refused', async () => {
      await add(1, 'kdf3', master(16));
      const calls = Array.from({ length: 20 }, () =>
        ask(1).then(
          () => 'served',
          (error: unknown) => error,
        ),
      );
      await vault.stop();
      for (const ended of await Promise.all(calls)) {
        expect(ended === 'served' || isFault(ended, 'key-unavailable')).toBe(true);
      }
      await expect(ask(1)).rejects.toMatchObject({ code: 'key-unavailable' });
      await expect(vault.list()).rejects.toMatchObject({ code: 'key-unavailable' });
      await vault.stop();
    });

    test('opens again with the keys it had', async () => {
      await add(1, 'an10922', master(24));
      await vault.stop();
      await vault.start();
      const keys = await ask(1, { diversification: 'an10922' });
      expect(hexOf(keys)).toEqual(hexOf(deriveCardKeys(master(24), 'an10922', diversifier)));
    });
  });
}
