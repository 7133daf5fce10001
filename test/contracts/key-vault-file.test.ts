import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FileVault } from '#adapters/sealed/file-vault.ts';
import { fromHex, toHex } from '#core/bytes/bytes.ts';
import { keyVaultContract } from './key-vault.ts';

let folder = '';
let file = '';
const passphraseFile = () => join(folder, 'passphrase');
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kazasu-vault-'));
  file = join(folder, 'vault');
  await writeFile(passphraseFile(), 'correct horse battery staple\n', { mode: 0o600 });
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

const byPassphrase = () => new FileVault({ file, sealing: { passphraseFile: passphraseFile() } });
const byCredential = () => new FileVault({ file, sealing: { credential: 'sealing' } });

keyVaultContract('file', { shared: 'served' }, async () => {
  // a credential costs no scrypt, which a test of behaviour has no need of
  await handOut(new Uint8Array(32).fill(5));
  const vault = byCredential();
  await vault.create();
  await vault.start();
  return {
    vault,
    again: async () => {
      const other = byCredential();
      await other.start();
      return other;
    },
    close: () => vault.stop(),
  };
});

/** Puts a credential where systemd would, with the mode it has since version 254. */
async function handOut(bytes: Uint8Array): Promise<void> {
  await rm(join(folder, 'sealing'), { force: true });
  await writeFile(join(folder, 'sealing'), bytes, { mode: 0o440 });
  vi.stubEnv('CREDENTIALS_DIRECTORY', folder);
}

const secret = '54455354204B4559204F4E4C59203031';
async function sealed(vault: FileVault): Promise<void> {
  await vault.create();
  await vault.start();
  await vault.add({ profileId: 'p', version: 1, diversification: 'kdf3', key: fromHex(secret) });
  await vault.stop();
}

describe('a sealed vault', () => {
  test('opens with its passphrase, and holds no key in clear', async () => {
    await sealed(byPassphrase());
    const vault = byPassphrase();
    await vault.start();
    expect(await vault.list()).toHaveLength(1);
    const content = await readFile(file);
    expect(content.includes(Buffer.from(secret, 'hex'))).toBe(false);
    expect(content.toString().toUpperCase()).not.toContain(secret);
    expect((await import('node:fs')).statSync(file).mode & 0o777).toBe(0o600);
    await vault.stop();
  });

  test('tells another passphrase from damage', async () => {
    await sealed(byPassphrase());
    await writeFile(passphraseFile(), 'another passphrase altogether\n');
    await expect(byPassphrase().start()).rejects.toMatchObject({ code: 'key-sealing-mismatch' });
  });

  test('on another device, whose credential is another, opens nothing', async () => {
    await handOut(new Uint8Array(32).fill(5));
    await sealed(byCredential());
    await handOut(new Uint8Array(32).fill(6));
    await expect(byCredential().start()).rejects.toMatchObject({ code: 'key-sealing-mismatch' });
    vi.stubEnv('CREDENTIALS_DIRECTORY', join(folder, 'none'));
    await expect(byCredential().start()).rejects.toMatchObject({ code: 'key-sealing-mismatch' });
    await expect(byPassphrase().start()).rejects.toMatchObject({ code: 'key-sealing-mismatch' });
  });

  test('whose credential the TPM did not open is told, by what the unit hands out in its place', async () => {
    await handOut(new Uint8Array(32).fill(5));
    await sealed(byCredential());
    const unit = await readFile('systemd/kazasu-terminal.service.d/sealing.conf', 'utf8');
    const [, instead = ''] = /^SetCredential=kazasu-sealing:(.+)$/m.exec(unit) ?? [];
    await handOut(Buffer.from(instead));
    await expect(byCredential().start()).rejects.toMatchObject({
      code: 'key-sealing-mismatch',
      message: expect.stringContaining('the TPM has not opened'),
    });
    await handOut(new Uint8Array(31));
    await expect(byCredential().start()).rejects.toMatchObject({
      code: 'key-file-invalid',
      message: expect.stringContaining('fewer than 32 bytes'),
    });
  });

  test.each([
    ['a passphrase that is short', 'passphrase', 'short\n', 'key-file-invalid'],
    ['no vault', 'vault', undefined, 'file-unreadable'],
    ['no passphrase', 'passphrase', undefined, 'file-unreadable'],
    ['an empty vault file', 'vault', '', 'key-file-invalid'],
  ])('%s is told', async (_name, name, content, code) => {
    await sealed(byPassphrase());
    if (content === undefined) await rm(join(folder, name));
    else await writeFile(join(folder, name), content);
    await expect(byPassphrase().start()).rejects.toMatchObject({ code });
  });

  test('others than the owner may read neither vault nor passphrase', async () => {
    await sealed(byPassphrase());
    for (const name of ['vault', 'passphrase']) {
      await chmod(join(folder, name), 0o640);
      await expect(byPassphrase().start()).rejects.toMatchObject({
        code: 'key-file-invalid',
        message: expect.stringContaining('chmod 600'),
      });
      await chmod(join(folder, name), 0o600);
    }
  });

  test('a credential that everybody may read is refused', async () => {
    await handOut(new Uint8Array(32).fill(5));
    await sealed(byCredential());
    await chmod(join(folder, 'sealing'), 0o444);
    await expect(byCredential().start()).rejects.toMatchObject({
      code: 'key-file-invalid',
      message: expect.stringContaining('has mode 444'),
    });
    // beside the credentials nothing but a credential has their modes
    await mkdir(join(folder, 'below'));
    await writeFile(join(folder, 'below/passphrase'), 'correct horse battery staple', { mode: 0o440 });
    const below = new FileVault({ file, sealing: { passphraseFile: join(folder, 'below/passphrase') } });
    await rm(file);
    await expect(below.create()).rejects.toMatchObject({ code: 'key-file-invalid' });
  });

  test('whatever is changed in it, it does not open, and no message shows what is in it', async () => {
    await handOut(new Uint8Array(32).fill(5));
    await sealed(byCredential());
    const whole = await readFile(file, 'utf8');
    const parsed = JSON.parse(whole);
    const [key] = parsed.attributes.keys;
    const changes: readonly (readonly [string, string])[] = [
      ['cut', whole.slice(0, -10)],
      ['version', whole.replace('"formatVersion":1', '"formatVersion":2')],
      ['purpose', whole.replace('master keys', 'anything')],
      [
        'nonce',
        JSON.stringify({
          ...parsed,
          nonce: parsed.nonce.replace(/^./, (c: string) => (c === '0' ? '1' : '0')),
        }),
      ],
      ['key version', JSON.stringify({ ...parsed, attributes: { keys: [{ ...key, version: 9 }] } })],
      [
        'diversification',
        JSON.stringify({ ...parsed, attributes: { keys: [{ ...key, diversification: 'none' }] } }),
      ],
      ['added', JSON.stringify({ ...parsed, more: secret })],
      ...[0, 21, 42].map((at): readonly [string, string] => {
        const bytes = Buffer.from(parsed.sealed, 'base64');
        bytes[at % bytes.length] = (bytes[at % bytes.length] ?? 0) ^ 1;
        return [`byte ${at}`, JSON.stringify({ ...parsed, sealed: bytes.toString('base64') })];
      }),
    ];
    for (const [what, content] of changes) {
      await writeFile(file, content);
      const error: unknown = await byCredential()
        .start()
        .catch((reason: unknown) => reason);
      expect(error, what).toMatchObject({ code: 'key-file-invalid' });
      expect(String(error), what).not.toContain(secret);
    }
    await writeFile(file, whole);
    await byCredential().start();
  });

  test('is made once, and changed by one command at a time', async () => {
    await handOut(new Uint8Array(32).fill(5));
    const vault = byCredential();
    await sealed(vault);
    const before = await readFile(file);
    await expect(byCredential().create()).rejects.toMatchObject({ code: 'key-refused' });
    expect(await readFile(file)).toEqual(before);
    expect((await readdir(folder)).sort()).toEqual(['passphrase', 'sealing', 'vault']);
    await vault.start();
    await writeFile(`${file}.lock`, '');
    await expect(vault.destroy({ profileId: 'p', version: 1 })).rejects.toMatchObject({
      code: 'key-file-invalid',
      message: expect.stringContaining(`remove ${file}.lock`),
    });
    await rm(`${file}.lock`);
    await writeFile(`${file}.new-0123456789ab`, 'what a power cut left');
    await vault.destroy({ profileId: 'p', version: 1 });
    expect((await readdir(folder)).sort()).toEqual(['passphrase', 'sealing', 'vault']);
    await vault.stop();
  });

  test('erased, it is gone from memory and from the disk', async () => {
    await handOut(new Uint8Array(32).fill(5));
    await sealed(byCredential());
    const vault = byCredential();
    await vault.start();
    await vault.erase();
    const request = {
      profileId: 'p',
      keyVersion: 1,
      diversification: 'kdf3',
      diversifier: Uint8Array.of(1),
    } as const;
    await expect(vault.cardKeys(request)).rejects.toMatchObject({ code: 'key-unavailable' });
    await expect(byCredential().start()).rejects.toMatchObject({ code: 'file-unreadable' });
    await vault.erase();
    expect(toHex(new Uint8Array(await readFile(join(folder, 'sealing'))))).toBe('05'.repeat(32));
  });
});
