import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { permitTry } from '#adapters/pkcs11/pin-try.ts';
import { Pkcs11Vault } from '#adapters/pkcs11/pkcs11-vault.ts';
import { kazasu } from '../cli/kazasu.ts';
import {
  type MisbehavingModule,
  makeMisbehavingModule,
  makeSoftToken,
  type SoftToken,
} from './soft-token.ts';

/** A token counts wrong PINs and locks: what is tried here is counted by a module between it and the vault. */
let token: SoftToken;
let counting: MisbehavingModule;
const vaults: Pkcs11Vault[] = [];
beforeEach(async () => {
  token = await makeSoftToken();
  counting = await makeMisbehavingModule(token);
  vi.stubEnv('SOFTHSM2_CONF', token.configuration);
  vi.stubEnv('KAZASU_MISBEHAVIOUR', counting.toldBy);
});
afterEach(async () => {
  await Promise.all(vaults.splice(0).map((vault) => vault.stop()));
  vi.unstubAllEnvs();
  await token.remove();
});

/** A vault as a program just started has it: nothing of what another knew. */
function freshVault(changes: { readonly directory?: string } = {}): Pkcs11Vault {
  const { label, pinFile, directory } = token;
  const vault = new Pkcs11Vault({
    ...{ module: counting.module, token: label, pinFile, directory, timeoutMs: 2_000 },
    ...changes,
  });
  vaults.push(vault);
  return vault;
}
const wrongPin = '99999999';
const pinIs = (pin: string) => writeFile(token.pinFile, `${pin}\n`);

test('a PIN that was taken leaves nothing behind, and is tried at each start', async () => {
  for (let starts = 1; starts <= 3; starts += 1) {
    const vault = freshVault();
    await vault.start();
    expect(await readdir(token.directory)).toEqual([]);
    await vault.stop();
    expect(await counting.logins()).toBe(starts);
  }
});

test('a refused PIN is tried once, whatever is asked and however often a program starts', async () => {
  await pinIs(wrongPin);
  const first = freshVault();
  await expect(first.start()).rejects.toMatchObject({ code: 'key-vault-pin-refused' });
  const pid = first.childPid();
  const request = { profileId: 'p', keyVersion: 1, diversification: 'kdf3' } as const;
  for (let i = 0; i < 3; i += 1) {
    await expect(first.cardKeys(request)).rejects.toMatchObject({ code: 'key-vault-pin-refused' });
  }
  expect(first.childPid()).toBe(pid);
  for (let i = 0; i < 3; i += 1) {
    await expect(freshVault().start()).rejects.toMatchObject({
      code: 'key-vault-pin-refused',
      message: expect.stringContaining('keys retry-pin'),
    });
  }
  // written anew it is the same PIN, whatever the file is now
  await rm(token.pinFile);
  await writeFile(token.pinFile, wrongPin, { mode: 0o600 });
  await expect(freshVault().start()).rejects.toMatchObject({ code: 'key-vault-pin-refused' });
  expect(await counting.logins()).toBe(1);
});

test('a corrected PIN is tried at the next start, without a word from anybody', async () => {
  await pinIs(wrongPin);
  const vault = freshVault();
  await expect(vault.start()).rejects.toMatchObject({ code: 'key-vault-pin-refused' });
  await pinIs('24681357');
  await expect(vault.list()).rejects.toMatchObject({ code: 'key-vault-pin-refused' });
  await vault.stop();
  await vault.start();
  expect(await vault.list()).toEqual([]);
  expect(await counting.logins()).toBe(2);
  expect(await readdir(token.directory)).toEqual([]);
});

test('what is noted of a refused PIN tells nobody which one it was', async () => {
  await pinIs(wrongPin);
  await expect(freshVault().start()).rejects.toMatchObject({ code: 'key-vault-pin-refused' });
  const [name = ''] = await readdir(token.directory);
  const note = await readFile(join(token.directory, name), 'utf8');
  expect(note).not.toContain(wrongPin);
  expect(JSON.parse(note)).toMatchObject({ state: 'refused', salt: expect.stringMatching(/^[0-9A-F]{32}$/) });
  expect((await import('node:fs')).statSync(join(token.directory, name)).mode & 0o777).toBe(0o600);
});

test('a PIN whose try ended in a crash is not tried by the next process, until somebody permits it', async () => {
  await counting.misbehave('crash-login');
  const vault = freshVault();
  await expect(vault.start()).rejects.toMatchObject({ code: 'key-unavailable' });
  await counting.misbehave('');
  await vi.waitFor(
    () => expect(vault.list()).rejects.toMatchObject({ message: expect.stringContaining('was cut off') }),
    { timeout: 20_000 },
  );
  expect(await counting.logins()).toBe(1);
  const source = join(token.folder, 'keys.yaml');
  const { label } = token;
  const paths = 'pinFile: pin\ndirectory: tries\n';
  await writeFile(source, `kind: pkcs11\nmodule: ${counting.module}\ntoken: ${label}\n${paths}`);
  expect(await kazasu('keys', 'list', '--vault', source)).toMatchObject({
    code: 1,
    err: expect.stringContaining('keys retry-pin'),
  });
  expect(await kazasu('keys', 'retry-pin', '--vault', source)).toMatchObject({
    code: 0,
    out: expect.stringContaining('took the PIN'),
  });
  // the vault that waited serves by itself
  await vi.waitFor(() => expect(vault.list()).resolves.toEqual([]), { timeout: 20_000 });
});

test('one more try of the token of a server is permitted by its configuration', async () => {
  await pinIs(wrongPin);
  const source = join(token.folder, 'issuance.yaml');
  const keys = `{ module: ${counting.module}, token: ${token.label}, pinFile: pin }`;
  await writeFile(source, `formatVersion: 1\nstateDirectory: ${token.folder}/server\nkeys: ${keys}\n`);
  const retry = () => kazasu('keys', 'retry-pin', '--config', source);
  expect(await retry()).toMatchObject({ code: 1, err: expect.stringContaining('key-vault-pin-refused') });
  expect(await readdir(join(token.folder, 'server', 'token'))).toHaveLength(1);
  await pinIs('24681357');
  expect(await retry()).toMatchObject({ code: 0, out: expect.stringContaining('took the PIN') });
  expect(await readdir(join(token.folder, 'server', 'token'))).toEqual([]);
  expect(await kazasu('keys', 'retry-pin')).toMatchObject({
    code: 1,
    err: expect.stringContaining('--config'),
  });
});

test('a stop lets a try under way come to its end, so that it counts for none cut off', async () => {
  await counting.misbehave('slow-login');
  const vault = freshVault();
  const started = vault.start();
  const rejected = expect(started).rejects.toMatchObject({ message: 'the vault is closed' });
  await vi.waitFor(async () => expect(await counting.logins()).toBe(1), { timeout: 20_000 });
  expect(await readdir(token.directory)).toHaveLength(1);
  await vault.stop();
  await rejected;
  expect(await readdir(token.directory)).toEqual([]);
});

test('a permitted try that is refused is the only one', async () => {
  await pinIs(wrongPin);
  const source = join(token.folder, 'keys.yaml');
  const paths = 'pinFile: pin\ndirectory: tries\n';
  await writeFile(source, `kind: pkcs11\nmodule: ${counting.module}\ntoken: ${token.label}\n${paths}`);
  for (const logins of [1, 2]) {
    const said = await kazasu('keys', 'retry-pin', '--vault', source);
    expect(said).toMatchObject({ code: 1, err: expect.stringContaining('key-vault-pin-refused') });
    expect(said.err).not.toContain(wrongPin);
    expect(await counting.logins()).toBe(logins);
  }
});

test('a token that was gone while logging in has judged no PIN: it serves as soon as it is back', async () => {
  await counting.misbehave('lost-login');
  const vault = freshVault();
  await expect(vault.start()).rejects.toMatchObject({
    code: 'key-unavailable',
    message: expect.stringContaining('CKR_DEVICE_ERROR'),
  });
  await counting.misbehave('');
  await vi.waitFor(() => expect(vault.list()).resolves.toEqual([]), { timeout: 20_000 });
});

test('a token into which somebody else has entered a wrong PIN waits for a right one', async () => {
  await token.mistype();
  const vault = freshVault();
  await expect(vault.start()).rejects.toMatchObject({
    code: 'key-unavailable',
    message: expect.stringContaining('by somebody else'),
  });
  expect(await counting.logins()).toBe(0);
  await token.tool('--list-objects');
  await vi.waitFor(() => expect(vault.list()).resolves.toEqual([]), { timeout: 20_000 });
});

test('or for a permission, which holds for one try', async () => {
  await token.mistype();
  await pinIs(wrongPin);
  const { directory, label } = token;
  permitTry({ directory, label });
  for (let i = 0; i < 2; i += 1) {
    await expect(freshVault().start()).rejects.toMatchObject({ code: 'key-vault-pin-refused' });
    expect(await counting.logins()).toBe(1);
  }
  await pinIs('24681357');
  permitTry({ directory, label });
  await freshVault().start();
  expect(await readdir(directory)).toEqual([]);
});

test.each(['final-try', 'locked'])('a token that says %s is not tried at all', async (state) => {
  await counting.misbehave(state);
  await expect(freshVault().start()).rejects.toMatchObject({ code: 'key-vault-pin-refused' });
  expect(await counting.logins()).toBe(0);
});

test.each([
  ['an empty PIN file', ''],
  ['a PIN file with line ends alone', '\r\n'],
  ['a PIN file that is no text', Uint8Array.of(0x31, 0xff, 0xfe)],
])('%s costs no try', async (_name, content) => {
  await writeFile(token.pinFile, content);
  await expect(freshVault().start()).rejects.toMatchObject({ code: 'key-file-invalid' });
  expect(await counting.logins()).toBe(0);
});

test('where a try cannot be noted, none is made', async () => {
  const directory = join(token.folder, 'file', 'below');
  await writeFile(join(token.folder, 'file'), '');
  await expect(freshVault({ directory }).start()).rejects.toMatchObject({
    code: expect.stringMatching(/^(key-file-invalid|file-unreadable)$/),
  });
  await mkdir(token.directory);
  await chmod(token.directory, 0o700);
  await expect(freshVault().start()).resolves.toBeUndefined();
  await pinIs(wrongPin);
  await expect(freshVault().start()).rejects.toMatchObject({ code: 'key-vault-pin-refused' });
  const [name = ''] = await readdir(token.directory);
  await writeFile(join(token.directory, name), 'not a note');
  await expect(freshVault().start()).rejects.toMatchObject({ code: 'key-file-invalid' });
  expect(await counting.logins()).toBe(2);
});

test('another token of the same label is none that has refused the PIN', async () => {
  await pinIs(wrongPin);
  await expect(freshVault().start()).rejects.toMatchObject({ code: 'key-vault-pin-refused' });
  const other = await makeSoftToken(token.label);
  vi.stubEnv('SOFTHSM2_CONF', other.configuration);
  await expect(freshVault().start()).rejects.toMatchObject({
    message: expect.stringContaining('refused the PIN (CKR_PIN_INCORRECT)'),
  });
  expect(await counting.logins()).toBe(2);
  await other.remove();
});

test('two that start at once with a wrong PIN try it once', async () => {
  await pinIs(wrongPin);
  const ended = await Promise.allSettled([freshVault().start(), freshVault().start()]);
  expect(ended.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(await counting.logins()).toBe(1);
});
