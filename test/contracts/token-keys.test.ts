import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { fitnessOf } from '#adapters/pkcs11/key-attributes.ts';
import { Pkcs11Vault } from '#adapters/pkcs11/pkcs11-vault.ts';
import { makeReceivingKey, receiverFingerprint } from '#adapters/sealed/receiving-key.ts';
import { fromHex } from '#core/bytes/bytes.ts';
import { kazasu, refusal } from '../cli/kazasu.ts';
import { profileFile } from './deck.ts';
import {
  type MisbehavingModule,
  makeMisbehavingModule,
  makeSoftToken,
  type SoftToken,
  softHsm,
} from './soft-token.ts';

let token: SoftToken;
let vault: Pkcs11Vault;
beforeEach(async () => {
  token = await makeSoftToken();
  vi.stubEnv('SOFTHSM2_CONF', token.configuration);
  vault = vaultOf(softHsm);
});
afterEach(async () => {
  await vault.stop();
  vi.unstubAllEnvs();
  await token.remove();
});

function vaultOf(module: string): Pkcs11Vault {
  const { label, pinFile, directory } = token;
  return new Pkcs11Vault({ module, token: label, pinFile, directory, timeoutMs: 2_000 });
}

const value = '404142434445464748494A4B4C4D4E4F';
/** A key as it must be, numbers by PKCS#11: CKO_SECRET_KEY, CKK_AES. */
const fit = {
  CKA_CLASS: 4,
  CKA_KEY_TYPE: 0x1f,
  CKA_LABEL: 'kazasu:p:1',
  CKA_VALUE: value,
  CKA_TOKEN: true,
  CKA_PRIVATE: true,
  CKA_SENSITIVE: true,
  CKA_EXTRACTABLE: false,
  CKA_MODIFIABLE: false,
  CKA_COPYABLE: false,
  CKA_WRAP_WITH_TRUSTED: true,
  CKA_SIGN: true,
  CKA_ENCRYPT: false,
  CKA_VERIFY: false,
  CKA_DECRYPT: false,
  CKA_WRAP: false,
  CKA_UNWRAP: false,
  CKA_DERIVE: false,
};
const { CKA_VALUE: _, ...generated } = { ...fit, CKA_VALUE_LEN: 16 };
const diversifier = Uint8Array.of(1);
const request = { profileId: 'p', keyVersion: 1, diversification: 'kdf3', diversifier } as const;

describe('a key of another program', () => {
  test('that is as it must be serves, brought from outside or made in the token', async () => {
    await token.foreignKey(fit);
    await token.foreignKey({ ...generated, CKA_LABEL: 'kazasu:p:2' });
    await token.foreignKey({ ...fit, CKA_LABEL: 'kazasu:p:3', CKA_SIGN: false, CKA_ENCRYPT: true });
    await vault.start();
    expect(await vault.list()).toMatchObject([
      { version: 1, diversification: 'kdf3', length: 16, checkValue: expect.any(String) },
      { version: 2, diversification: 'kdf3', length: 16, checkValue: expect.any(String) },
      { version: 3, diversification: 'an10922', length: 16, checkValue: expect.any(String) },
    ]);
    await expect(vault.cardKeys(request)).resolves.toBeDefined();
  });

  test.each<readonly [name: string, attributes: Record<string, string | number | boolean>, why: string]>([
    ['can be seen without the PIN', { CKA_PRIVATE: false }, 'CKA_PRIVATE must be true'],
    ['shows its value', { CKA_SENSITIVE: false }, 'CKA_SENSITIVE must be true'],
    ['can be taken out', { CKA_EXTRACTABLE: true }, 'CKA_EXTRACTABLE must be false'],
    ['can be changed', { CKA_MODIFIABLE: true }, 'CKA_MODIFIABLE must be false'],
    ['can be copied', { CKA_COPYABLE: true }, 'CKA_COPYABLE must be false'],
    ['any key may wrap', { CKA_WRAP_WITH_TRUSTED: false }, 'CKA_WRAP_WITH_TRUSTED must be true'],
    ['may encrypt too', { CKA_ENCRYPT: true }, 'CKA_ENCRYPT must be false'],
    ['may verify', { CKA_VERIFY: true }, 'CKA_VERIFY must be false'],
    ['may decrypt', { CKA_DECRYPT: true }, 'CKA_DECRYPT must be false'],
    ['may wrap', { CKA_WRAP: true }, 'CKA_WRAP must be false'],
    ['may unwrap', { CKA_UNWRAP: true }, 'CKA_UNWRAP must be false'],
    ['may be derived from', { CKA_DERIVE: true }, 'CKA_DERIVE must be false'],
    ['may do nothing', { CKA_SIGN: false }, 'CKA_SIGN must be true for kdf3, or CKA_ENCRYPT for an10922'],
    ['is a generic secret', { CKA_KEY_TYPE: 0x10 }, 'no AES key'],
    ['is a 3DES key', { CKA_KEY_TYPE: 0x15, CKA_VALUE: value + value.slice(0, 16) }, 'no AES key'],
    [
      'has two faults',
      { CKA_EXTRACTABLE: true, CKA_DERIVE: true },
      'CKA_EXTRACTABLE must be false, CKA_DERIVE must be false',
    ],
  ])('that %s is unfit, told, and destroyed all the same', async (_name, attributes, why) => {
    await token.foreignKey({ ...fit, ...attributes });
    await token.foreignKey({ ...fit, CKA_LABEL: 'kazasu:q:1' });
    await vault.start();
    await expect(vault.cardKeys(request)).rejects.toMatchObject({
      code: 'key-unavailable',
      message: expect.stringContaining(why),
    });
    expect(await vault.list()).toMatchObject([
      { profileId: 'p', version: 1, unfit: expect.stringContaining(why) },
      { profileId: 'q', version: 1, checkValue: expect.any(String) },
    ]);
    await vault.destroy({ profileId: 'p', version: 1 });
    expect(await vault.list()).toMatchObject([{ profileId: 'q' }]);
  });

  test('that the token made and that could once be taken out is unfit', async () => {
    // SoftHSM2 lets nobody make one by itself: what is read of it is spelled out
    const read = (changes: Readonly<Record<string, boolean>>) => (type: number) => {
      const name = Object.entries(types).find(([, number]) => number === type)?.[0] ?? '';
      if (name === 'CKA_VALUE_LEN') return Uint8Array.of(16);
      if (name === 'CKA_KEY_TYPE') return Uint8Array.of(0x1f);
      const attributes: Readonly<Record<string, unknown>> = { ...fit, ...changes };
      return name in attributes ? Uint8Array.of(attributes[name] === true ? 1 : 0) : undefined;
    };
    const local = { CKA_LOCAL: true, CKA_ALWAYS_SENSITIVE: true, CKA_NEVER_EXTRACTABLE: true };
    expect(fitnessOf(read(local))).toEqual({ diversification: 'kdf3', length: 16 });
    for (const name of ['CKA_ALWAYS_SENSITIVE', 'CKA_NEVER_EXTRACTABLE']) {
      expect(fitnessOf(read({ ...local, [name]: false }))).toEqual({ unfit: `${name} must be true` });
    }
    expect(fitnessOf(read({ CKA_TOKEN: false }))).toEqual({ unfit: 'CKA_TOKEN must be true' });
  });
});

/** Numbers of the attributes that are read, by PKCS#11 3.0. */
const types = {
  ...{ CKA_TOKEN: 0x01, CKA_PRIVATE: 0x02, CKA_KEY_TYPE: 0x100, CKA_SENSITIVE: 0x103, CKA_ENCRYPT: 0x104 },
  ...{ CKA_DECRYPT: 0x105, CKA_WRAP: 0x106, CKA_UNWRAP: 0x107, CKA_SIGN: 0x108, CKA_VERIFY: 0x10a },
  ...{ CKA_DERIVE: 0x10c, CKA_VALUE_LEN: 0x161, CKA_EXTRACTABLE: 0x162, CKA_LOCAL: 0x163 },
  ...{
    CKA_NEVER_EXTRACTABLE: 0x164,
    CKA_ALWAYS_SENSITIVE: 0x165,
    CKA_MODIFIABLE: 0x170,
    CKA_COPYABLE: 0x171,
  },
  ...{ CKA_WRAP_WITH_TRUSTED: 0x210 },
};

describe('a list of keys', () => {
  test('shows a label that stands twice once, and what else is there', async () => {
    await token.foreignKey(fit);
    await token.foreignKey({ ...fit, CKA_VALUE: '00'.repeat(16) });
    for (const label of ['kazasu:q:07', 'kazasu:q:0', 'kazasu:q:256', 'kazasu::1', 'another', '']) {
      await token.foreignKey({ ...fit, CKA_LABEL: label });
    }
    await token.foreignKey({ ...fit, CKA_LABEL: 'kazasu:q:255' });
    await vault.start();
    expect(await vault.list()).toMatchObject([
      { profileId: 'p', version: 1, unfit: expect.stringContaining('several keys') },
      { profileId: 'q', version: 255, checkValue: expect.any(String) },
    ]);
    await vault.destroy({ profileId: 'p', version: 1 });
    expect(await vault.list()).toMatchObject([{ profileId: 'q' }]);
  });
});

test('commands tell an unfit key, export nothing by it, and destroy it when that is confirmed', async () => {
  await token.foreignKey({ ...fit, CKA_LABEL: 'kazasu:synthetic-type-a:1' });
  await token.foreignKey({ ...fit, CKA_LABEL: 'kazasu:synthetic-type-a:2', CKA_DERIVE: true });
  const at = (name: string) => join(token.folder, name);
  const paths = 'pinFile: pin\ndirectory: tries\n';
  await writeFile(at('vault.yaml'), `kind: pkcs11\nmodule: ${softHsm}\ntoken: ${token.label}\n${paths}`);
  const vaultIs = ['--vault', at('vault.yaml')];
  expect((await kazasu('keys', 'list', ...vaultIs)).out).toMatch(
    /type-a version 1: AES-128.*\n.*type-a version 2: unfit, serves no card: .*CKA_DERIVE must be false/,
  );

  const sealing = { passphraseFile: at('passphrase') };
  await writeFile(at('passphrase'), 'a passphrase of tests alone\n', { mode: 0o600 });
  const receiver = await makeReceivingKey(at('card-keys'), { sealing, terminal: 'entrance' });
  await writeFile(at('entrance.json'), JSON.stringify(receiver));
  await writeFile(at('cards.csv'), 'profile,key_version,diversifier\nsynthetic-type-a,,01020304\n');
  const exported = await refusal(
    ...['keys', 'export-cards', ...vaultIs, '--cards', at('cards.csv')],
    ...['--profile', profileFile('synthetic-type-a'), '--for-terminal', at('entrance.json')],
    ...['--fingerprint', receiverFingerprint(receiver), '--register', at('register'), '--out', at('out')],
  );
  expect(exported).toContain('master key of synthetic-type-a version 2 is unfit');
  expect(await readdir(token.folder)).not.toContain('out');

  const destroy = ['keys', 'destroy', ...vaultIs, '--profile', 'synthetic-type-a', '--key-version', '2'];
  expect(await refusal(...destroy)).toContain('--confirm unfit');
  expect(await kazasu(...destroy, '--confirm', 'unfit')).toMatchObject({ code: 0 });
  expect((await kazasu('keys', 'list', ...vaultIs)).out).not.toContain('unfit');
});

describe('a token that is not like SoftHSM2', () => {
  let other: MisbehavingModule;
  beforeEach(async () => {
    other = await makeMisbehavingModule(token);
    vi.stubEnv('KAZASU_MISBEHAVIOUR', other.toldBy);
    vault = vaultOf(other.module);
    await vault.start();
  });
  const add = () => vault.add({ profileId: 'p', version: 1, diversification: 'kdf3', key: fromHex(value) });

  test('and knows no attributes of later versions takes and serves keys without them', async () => {
    await other.misbehave('old');
    expect(await add()).toMatchObject({ diversification: 'kdf3', length: 16 });
    await expect(vault.cardKeys(request)).resolves.toBeDefined();
  });

  test('and takes no key from outside says so', async () => {
    await other.misbehave('closed');
    await expect(add()).rejects.toMatchObject({
      code: 'key-refused',
      message: expect.stringContaining('from outside: CKR_TEMPLATE_INCONSISTENT'),
    });
  });

  test('and makes a key that may be changed is left without it', async () => {
    await other.misbehave('careless');
    await expect(add()).rejects.toMatchObject({
      code: 'key-refused',
      message: expect.stringContaining('CKA_MODIFIABLE must be false'),
    });
    expect(await vault.list()).toEqual([]);
  });
});
