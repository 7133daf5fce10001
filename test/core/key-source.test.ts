import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { sealingRemark } from '#core/config/key-source.ts';
import { loadKeySource } from '#terminal/config.ts';

const folder = mkdtempSync(join(tmpdir(), 'kazasu-key-source-'));
afterAll(() => rmSync(folder, { recursive: true }));

function load(text: string) {
  const file = join(folder, 'keys.yaml');
  writeFileSync(file, text);
  return loadKeySource(file);
}

describe('a source of keys', () => {
  test('counts relative paths from its own file', async () => {
    expect(await load('kind: vault-file\nfile: vault\nsealing: { passphraseFile: pass }\n')).toEqual({
      kind: 'vault-file',
      file: join(folder, 'vault'),
      sealing: { passphraseFile: join(folder, 'pass') },
    });
    expect(await load('kind: card-keys\nsealing: { credential: c }\n')).toEqual({
      kind: 'card-keys',
      directory: '/var/lib/kazasu/card-keys',
      sealing: { credential: 'c' },
    });
    expect(await load('kind: pkcs11\nmodule: /lib/x.so\ntoken: t\npinFile: pin\n')).toEqual({
      kind: 'pkcs11',
      module: '/lib/x.so',
      token: 't',
      pinFile: join(folder, 'pin'),
      directory: '/var/lib/kazasu/token',
      timeout: 1_000,
    });
  });

  test.each([
    ['kind: anything\n', 'keys.yaml:1:7'],
    ['kind: card-keys\nsealing: {}\n', 'one of credential and passphraseFile'],
    [
      'kind: card-keys\nsealing: { credential: c, passphraseFile: p }\n',
      'one of credential and passphraseFile',
    ],
    ['kind: card-keys\nsealing: { credential: ../c }\n', 'no name of a credential'],
    ['kind: vault-file\nsealing: { credential: c }\n', 'file: is missing'],
    ['kind: pkcs11\nmodule: x.so\ntoken: t\npinFile: p\n', 'an absolute path'],
    ['kind: pkcs11\nmodule: /x.so\ntoken: t\npinFile: p\ntimeout: 5 s\n', 'out of range'],
    ['kind: card-keys\nsealing: { credential: c }\nmaster: "00"\n', 'unknown key "master"'],
  ])('%s is refused with its line', async (text, why) => {
    await expect(load(text)).rejects.toMatchObject({
      code: 'config-invalid',
      message: expect.stringContaining(why),
    });
  });

  test('says plainly where nothing seals the keys', async () => {
    const bare = await load('kind: card-keys\nsealing: { passphraseFile: p }\n');
    expect(sealingRemark(bare)).toMatch(/^keys not sealed/);
    const credential = await load('kind: card-keys\nsealing: { credential: c }\n');
    expect(sealingRemark(credential)).toContain('only if it was encrypted to the TPM');
    expect(sealingRemark(await load('kind: pkcs11\nmodule: /x\ntoken: t\npinFile: p\n'))).toBeUndefined();
  });
});
