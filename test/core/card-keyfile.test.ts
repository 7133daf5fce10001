import { chmodSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createKeyfileDerivation } from '#adapters/keyfile/key-derivation.ts';
import { fromHex, toHex } from '#core/bytes/bytes.ts';
import { deriveCardKeys } from '#core/card/diversification.ts';

const master = '54455354204B4559204F4E4C59203031';
let folder = '';
let file = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kazasu-keys-'));
  file = join(folder, 'keys.yaml');
});
afterEach(() => rmSync(folder, { recursive: true }));

function write(text: string, mode = 0o600): string {
  writeFileSync(file, text);
  chmodSync(file, mode);
  return file;
}

const keyFile = (...keys: string[]) =>
  `formatVersion: 1\nkeys:\n${keys.map((key) => `  - ${key}\n`).join('')}`;
const one = `{ profile: p, version: 1, diversification: an10922, master: '${master}' }`;
const shared = `{ profile: q, version: 7, diversification: none, master: '${master}' }`;

test('keys are diversified by card, purpose and version', async () => {
  copyFileSync(fileURLToPath(new URL('../../src/simulators/card/decks/keys.yaml', import.meta.url)), file);
  chmodSync(file, 0o600);
  const derivation = await createKeyfileDerivation(file);
  const diversifier = fromHex('4B415A41535500000001');
  const ask = (keyVersion: number, data = diversifier) =>
    derivation.cardKeys({
      profileId: 'synthetic-type-a',
      keyVersion,
      diversification: 'an10922',
      diversifier: data,
    });
  const keys = await ask(1);
  const expected = deriveCardKeys(fromHex(master), 'an10922', diversifier);
  expect(toHex(keys.encryption)).toBe(toHex(expected.encryption));
  expect(toHex(keys.mac)).toBe(toHex(expected.mac));
  const all = [keys, await ask(2), await ask(1, fromHex('4B415A41535500000002'))].flatMap((it) => [
    it.encryption,
    it.mac,
  ]);
  expect(new Set(all.map(toHex)).size).toBe(6);
});

test('a key that is not diversified is shared, and zeroing a copy leaves it whole', async () => {
  const derivation = await createKeyfileDerivation(write(keyFile(shared)));
  const first = await derivation.cardKeys({ profileId: 'q', keyVersion: 7, diversification: 'none' });
  expect(toHex(first.encryption)).toBe(master);
  first.encryption.fill(0);
  first.mac.fill(0);
  const second = await derivation.cardKeys({ profileId: 'q', keyVersion: 7, diversification: 'none' });
  expect([toHex(second.encryption), toHex(second.mac)]).toEqual([master, master]);
});

test('an unknown profile, version or a missing diversifier is no key', async () => {
  const derivation = await createKeyfileDerivation(write(keyFile(one, shared)));
  const diversifier = fromHex('01020304');
  for (const request of [
    { profileId: 'p', keyVersion: 1, diversification: 'kdf3' as const, diversifier },
    { profileId: 'x', keyVersion: 1, diversifier },
    { profileId: 'p', keyVersion: 2, diversifier },
    { profileId: 'p', keyVersion: 1 },
    { profileId: 'p', keyVersion: 1, diversifier: new Uint8Array(31) },
  ]) {
    await expect(derivation.cardKeys({ diversification: 'an10922', ...request })).rejects.toMatchObject({
      code: 'key-unavailable',
    });
  }
});

test.each([0o640, 0o604, 0o660, 0o620, 0o601])(
  'a file of mode %o is refused with what to do',
  async (mode) => {
    await expect(createKeyfileDerivation(write(keyFile(one), mode))).rejects.toMatchObject({
      code: 'key-file-invalid',
      message: expect.stringContaining(`chmod 600 ${file}`),
    });
  },
);

test.each([
  ['another version', keyFile(one).replace('formatVersion: 1', 'formatVersion: 2')],
  ['no keys', 'formatVersion: 1\nkeys: []\n'],
  ['an unknown key', keyFile(one.replace('version: 1', 'version: 1, colour: red'))],
  ['a short master', keyFile(one.replace(master, master.slice(2)))],
  ['a master that is a number', keyFile(one.replace(`'${master}'`, master.replaceAll(/[A-F]/g, '0')))],
  ['an unknown diversification', keyFile(one.replace('an10922', 'kdf9'))],
  ['a version named twice', keyFile(one, one)],
  ['no YAML', `${master}: [`],
])('%s is refused, and no key is shown', async (_name, text) => {
  const error: unknown = await createKeyfileDerivation(write(text)).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'key-file-invalid' });
  expect(String(error)).not.toContain(master.slice(2, 12));
});

test('a file that is not there or is a folder is told apart', async () => {
  await expect(createKeyfileDerivation(join(folder, 'none.yaml'))).rejects.toMatchObject({
    code: 'file-unreadable',
  });
  await expect(createKeyfileDerivation(folder)).rejects.toMatchObject({ code: 'key-file-invalid' });
});
