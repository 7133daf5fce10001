import { readFile, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Pkcs11Vault, type Pkcs11VaultOptions } from '#adapters/pkcs11/pkcs11-vault.ts';
import { fromHex, toHex } from '#core/bytes/bytes.ts';
import { deriveCardKeys } from '#core/card/diversification.ts';
import type { Fault } from '#core/fault.ts';
import { keyVaultContract } from './key-vault.ts';
import {
  type MisbehavingModule,
  makeMisbehavingModule,
  makeSoftToken,
  type SoftToken,
  softHsm,
} from './soft-token.ts';

let token: SoftToken;
const vaults: Pkcs11Vault[] = [];
beforeEach(async () => {
  token = await makeSoftToken();
  vi.stubEnv('SOFTHSM2_CONF', token.configuration);
});
afterEach(async () => {
  await Promise.all(vaults.splice(0).map((vault) => vault.stop()));
  vi.unstubAllEnvs();
  await token.remove();
});

function vaultOf(options: Partial<Pkcs11VaultOptions> = {}): Pkcs11Vault {
  const { label, pinFile, directory } = token;
  const own = { module: softHsm, token: label, pinFile, directory, timeoutMs: 5_000 };
  const vault = new Pkcs11Vault({ ...own, ...options });
  vaults.push(vault);
  return vault;
}
async function opened(options: Partial<Pkcs11VaultOptions> = {}): Promise<Pkcs11Vault> {
  const vault = vaultOf(options);
  await vault.start();
  return vault;
}

keyVaultContract('PKCS#11 (SoftHSM2)', { shared: 'refused' }, async () => ({
  vault: await opened(),
  again: () => opened(),
  close: async () => undefined,
}));

const master = () => fromHex('404142434445464748494A4B4C4D4E4F');
const diversifier = fromHex('00010203040506070809');
const request = { profileId: 'p', keyVersion: 1, diversification: 'kdf3', diversifier } as const;
const expected = toHex(deriveCardKeys(master(), 'kdf3', diversifier).encryption);
const addKdf3 = (vault: Pkcs11Vault) =>
  vault.add({ profileId: 'p', version: 1, diversification: 'kdf3', key: master() });

describe('a key in the token', () => {
  test('cannot be taken out of it, and may do the one thing it is for', async () => {
    const vault = await opened();
    await addKdf3(vault);
    await vault.add({ profileId: 'q', version: 2, diversification: 'an10922', key: master() });
    const listed = await token.tool('--list-objects', '--type', 'secrkey');
    const [first = '', second = ''] = listed.split('Secret Key Object').slice(1).sort();
    const [p, q] = first.includes('kazasu:p:1') ? [first, second] : [second, first];
    // pkcs11-tool has no word for a secret key that may sign
    expect(p).toMatch(/Usage:\s+none\n/);
    expect(q).toMatch(/Usage:\s+encrypt\n/);
    for (const text of [p, q]) {
      expect(text).toMatch(/Access:\s+sensitive/);
      expect(text).not.toMatch(/\bextractable/);
    }
    for (const label of ['kazasu:p:1', 'kazasu:q:2']) {
      const read = token.tool('--read-object', '--type', 'secrkey', '--label', label);
      await expect(read).rejects.toMatchObject({ stderr: expect.stringContaining('SENSITIVE') });
    }
  });

  test('is found again after another program has made it anew', async () => {
    const [vault, other] = [await opened(), await opened()];
    await addKdf3(vault);
    expect(toHex((await vault.cardKeys(request)).encryption)).toBe(expected);
    await other.destroy({ profileId: 'p', version: 1 });
    await other.add({ profileId: 'p', version: 1, diversification: 'kdf3', key: new Uint8Array(16).fill(3) });
    const changed = deriveCardKeys(new Uint8Array(16).fill(3), 'kdf3', diversifier);
    expect(toHex((await vault.cardKeys(request)).encryption)).toBe(toHex(changed.encryption));
  });
});

describe('opening a token', () => {
  test.each([
    ['no such module', { module: '/usr/lib/no-such-module.so' }, 'key-unavailable'],
    ['no such token', { token: 'another' }, 'key-unavailable'],
    ['no PIN file', { pinFile: '/nowhere/pin' }, 'file-unreadable'],
  ])('%s is told', async (_name, options, code) => {
    const vault = vaultOf(options);
    await expect(vault.start()).rejects.toMatchObject({ code });
    await expect(vault.cardKeys(request)).rejects.toMatchObject({ code });
  });

  test('a PIN file that others may read is refused', async () => {
    const { chmod } = await import('node:fs/promises');
    await chmod(token.pinFile, 0o644);
    await expect(vaultOf().start()).rejects.toMatchObject({ code: 'key-file-invalid' });
  });
});

describe('a module that misbehaves', () => {
  let misbehaving: MisbehavingModule;
  beforeEach(async () => {
    misbehaving = await makeMisbehavingModule(token);
    vi.stubEnv('KAZASU_MISBEHAVIOUR', misbehaving.toldBy);
  });

  test.each(['crash', 'hang'])('by a %s costs the tap, and recovers', async (how) => {
    const states: (string | undefined)[] = [];
    let reopened: (() => void) | undefined;
    const changed = (fault: Fault | undefined) => {
      states.push(fault?.code);
      if (!fault) reopened?.();
    };
    const vault = await opened({ module: misbehaving.module, timeoutMs: 1_000, changed });
    await addKdf3(vault);
    expect(toHex((await vault.cardKeys(request)).encryption)).toBe(expected);
    const again = new Promise<void>((resolve) => {
      reopened = resolve;
    });
    await misbehaving.misbehave(how);
    await expect(vault.cardKeys(request)).rejects.toMatchObject({ code: 'key-unavailable' });
    await expect(vault.cardKeys(request)).rejects.toMatchObject({ code: 'key-unavailable' });
    await misbehaving.misbehave('');
    await again;
    expect(toHex((await vault.cardKeys(request)).encryption)).toBe(expected);
    expect(states).toEqual([undefined, 'key-unavailable', undefined]);
  });

  test('by being slow serves many taps at once, each in the time that is its own', async () => {
    const vault = await opened({ module: misbehaving.module, timeoutMs: 1_000 });
    await addKdf3(vault);
    await misbehaving.misbehave('slow');
    // each takes 100 ms, the last has 1.9 s of others before it
    const served = await Promise.all(Array.from({ length: 20 }, () => vault.cardKeys(request)));
    expect(new Set(served.map(({ encryption }) => toHex(encryption)))).toEqual(new Set([expected]));
  });

  test('by taking seconds to write takes a key in, though a tap may not take as long', async () => {
    const vault = await opened({ module: misbehaving.module, timeoutMs: 1_000 });
    await misbehaving.misbehave('slow-write');
    const pid = vault.childPid();
    expect(await addKdf3(vault)).toMatchObject({ profileId: 'p', version: 1 });
    expect(vault.childPid()).toBe(pid);
  });
});

test('no message of a fault shows the PIN', async () => {
  await writeFile(token.pinFile, '99999999\n');
  const error: unknown = await vaultOf()
    .start()
    .catch((reason: unknown) => reason);
  expect(String(error)).not.toContain('99999999');
  expect(await readFile(token.pinFile, 'utf8')).toContain('99999999');
});
