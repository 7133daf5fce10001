import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { SystemClock } from '#adapters/os/clock.ts';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { OrganizationKeys } from '#adapters/pkcs11/organization-keys.ts';
import { isSignedBy, parseDevicePublicKey } from '#core/crypto/device-signature.ts';
import { AuthorityFiles } from '#issuance/authority-files.ts';
import { parseIssuanceConfig } from '#issuance/config.ts';
import { TrustFiles } from '#issuance/trust-files.ts';
import type { Signing } from '#ports/signing.ts';
import type { SigningPurpose } from '#ports/signing-keys.ts';
import { kazasu } from '../cli/kazasu.ts';
import { makeSoftToken, type SoftToken, softHsm } from './soft-token.ts';

let token: SoftToken;
let folder: string;
const opened: OrganizationKeys[] = [];
beforeEach(async () => {
  token = await makeSoftToken();
  folder = mkdtempSync(join(tmpdir(), 'kazasu-organization-keys-'));
  vi.stubEnv('SOFTHSM2_CONF', token.configuration);
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((keys) => keys.stop()));
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
  await token.remove();
});

function keysOf(holds: readonly SigningPurpose[] = ['organization', 'policy', 'command']): OrganizationKeys {
  const { label, pinFile, directory } = token;
  const keys = new OrganizationKeys({
    module: softHsm,
    token: label,
    pinFile,
    directory,
    timeoutMs: 5_000,
    holds,
  });
  opened.push(keys);
  return keys;
}
async function verifies(signing: Signing | undefined): Promise<boolean> {
  const message = new TextEncoder().encode('manifest');
  const key = signing && parseDevicePublicKey(signing.publicKey());
  return (
    key !== undefined &&
    key.keyId === signing?.keyId() &&
    isSignedBy(key, message, await signing.sign(message))
  );
}

test('are made when asked for, sign, and are the same after a restart', async () => {
  const keys = keysOf();
  expect(await keys.key('city', 'policy', false)).toBeUndefined();
  const made = await keys.key('city', 'policy', true);
  expect(await verifies(made)).toBe(true);
  expect((await keys.key('city', 'policy', true))?.keyId()).toBe(made?.keyId());
  expect((await keys.key('city', 'command', true))?.keyId()).not.toBe(made?.keyId());
  expect((await keys.key('ward', 'policy', true))?.keyId()).not.toBe(made?.keyId());
  await keys.stop();
  const again = await keysOf().key('city', 'policy', false);
  expect(again?.keyId()).toBe(made?.keyId());
  expect(await verifies(again)).toBe(true);
});

test('cannot be taken out of the token, and do nothing but sign', async () => {
  await keysOf().key('city', 'policy', true);
  const listed = await token.tool('--list-objects', '--type', 'privkey');
  expect(listed).toContain('kazasu-issuance:city:policy');
  expect(listed).toMatch(/Usage:\s+sign\n/);
  expect(listed).toMatch(/Access:\s+sensitive, always sensitive, never extractable, local/);
});

test('of another program are refused where they may do more, or stand twice', async () => {
  const label = 'kazasu-issuance:city:policy';
  const make = () =>
    token.tool('--keypairgen', '--key-type', 'EC:prime256v1', '--label', label, '--extractable');
  await make();
  await expect(keysOf().key('city', 'policy', true)).rejects.toMatchObject({
    code: 'key-unavailable',
    message: expect.stringContaining('CKA_EXTRACTABLE must be false'),
  });
  await make();
  await expect(keysOf().key('city', 'policy', true)).rejects.toMatchObject({ code: 'key-unavailable' });
});

test('that were replaced in the token sign nothing in the name of those before', async () => {
  const keys = keysOf();
  const before = await keys.key('city', 'policy', true);
  for (const type of ['privkey', 'pubkey']) {
    await token.tool('--delete-object', '--type', type, '--label', 'kazasu-issuance:city:policy');
  }
  const other = await keysOf().key('city', 'policy', true);
  await expect(before?.sign(new Uint8Array(3))).rejects.toMatchObject({ code: 'key-unavailable' });
  expect((await keys.key('city', 'policy', false))?.keyId()).toBe(other?.keyId());
});

test('are the authority, and sign for the roles of the first root; what is not in the token is a file', async () => {
  const parts = {
    clock: new SystemClock(),
    entropy: new SystemEntropy(),
    directory: join(folder, 'authorities'),
  };
  const signingKeys = keysOf(['organization', 'policy']);
  const authorities = new AuthorityFiles({ ...parts, signingKeys });
  const authority = await authorities.organization('city');
  expect(authority.chain()).toHaveLength(2);
  const failed = vi.fn();
  const trust = new TrustFiles({ ...parts, organization: 'city', failed, signingKeys });
  await trust.make(() => authorities.platform());
  const policy = (await trust.signing('policy'))?.signers[0];
  expect(policy?.keyId()).toBe((await signingKeys.key('city', 'policy', false))?.keyId());
  expect((await trust.signing('command'))?.signers).toHaveLength(1);
  // without the token nothing signs, though the root is there
  const without = new TrustFiles({ ...parts, organization: 'city', failed });
  expect(await without.signing('policy')).toBeUndefined();
  expect(await without.signing('command')).toBeDefined();
  expect(failed).not.toHaveBeenCalled();
});

test('are named for the ceremony by a command, and a wrong PIN is told once', async () => {
  const config = join(folder, 'issuance.yaml');
  const written = (pinFile: string) =>
    writeFileSync(
      config,
      `formatVersion: 1\nstateDirectory: ${join(folder, 'state')}\nkeys: { module: ${softHsm}, token: kazasu, pinFile: ${pinFile} }\n`,
    );
  written(token.pinFile);
  expect(
    parseIssuanceConfig('formatVersion: 1\nkeys: { module: /x, token: t, pinFile: p }', '/a/b.yaml').keys,
  ).toEqual({
    module: '/x',
    token: 't',
    pinFile: '/a/p',
    holds: ['organization', 'policy', 'command'],
    timeoutMs: 5_000,
  });
  const words = ['issuance', 'trust', 'token-key', 'policy', '--organization', 'city', '--config', config];
  const out = join(folder, 'policy.pub.pem');
  expect(await kazasu(...words, '--out', out)).toMatchObject({ code: 0, err: '' });
  const key = await keysOf().key('city', 'policy', false);
  const told = JSON.parse((await kazasu(...words, '--out', `${out}2`, '--json')).out);
  expect(told.keyId).toBe(key?.keyId());
  const pinFile = join(folder, 'wrong.pin');
  writeFileSync(pinFile, '11111111\n', { mode: 0o600 });
  written(pinFile);
  const refused = await kazasu(...words, '--out', `${out}3`);
  expect(refused).toMatchObject({ code: 1, err: expect.stringContaining('key-vault-pin-refused') });
});
