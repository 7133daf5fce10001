import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeKeyFile, openKeyFile } from '#adapters/keyfile/signing.ts';
import { type Fault, isFault } from '#core/fault.ts';
import { decodeSigned, encodeSigned } from '#core/sync/signed.ts';
import { nextTrustRoot, pinTrustRoot, type TrustRoot } from '#core/sync/trust.ts';
import { addSignature, draftRoot } from '#issuance/trust/ceremony.ts';
import { TrustFiles } from '#issuance/trust-files.ts';

const clock = { utcMs: () => 1_800_000_000_000 };
const platform = async () => [new Uint8Array([1, 2, 3])];
let directory: string;
let folder: string;
let told: Fault[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'kazasu-trust-files-'));
  folder = join(directory, 'trust/city');
  told = [];
});
afterEach(() => rmSync(directory, { recursive: true }));

const files = (organization = 'city') =>
  new TrustFiles({ directory, organization, clock, failed: (fault) => void told.push(fault) });
const at = (name: string): string => join(folder, name);

function rootOf(bytes: Uint8Array | undefined, before?: TrustRoot): TrustRoot {
  const read = decodeSigned(bytes ?? new Uint8Array());
  if (read.kind === 'refused') throw new Error(read.reason);
  const checked = before ? nextTrustRoot(before, read.value) : pinTrustRoot(read.value);
  if (checked.kind === 'refused') throw new Error(checked.reason);
  return checked.value;
}

/** The root after the first, with another key for policies. */
async function nextRoot(): Promise<{ readonly bytes: Uint8Array; readonly keyId: string }> {
  const before = rootOf((await files().roots()).get(1));
  const key = await makeKeyFile(join(directory, 'policy-2.key'));
  const draft = draftRoot({ roles: { policy: { keys: [key.publicKey()] } } }, clock.utcMs(), before);
  return {
    bytes: encodeSigned(await addSignature(draft, await openKeyFile(at('root.key')))),
    keyId: key.keyId(),
  };
}

it('makes a root and its keys once, also where several ask at once', async () => {
  const trust = files();
  await Promise.all([trust.make(platform), files().make(platform), files().make(platform)]);
  const [first] = (await trust.roots()).values();
  const root = rootOf(first);
  expect([root.organization, root.version, root.authorities]).toEqual([
    'city',
    1,
    [new Uint8Array([1, 2, 3])],
  ]);
  for (const role of ['policy', 'command'] as const) {
    const signing = await trust.signing(role);
    expect(signing?.rootVersion).toBe(1);
    expect([...root.roles[role].keys.keys()]).toEqual(signing?.signers.map((signer) => signer.keyId()));
  }
  await files().make(platform);
  expect([...(await files().roots()).values()]).toEqual([first]);
});

it('makes none where the key of the platform is kept elsewhere', async () => {
  writeFileSync(join(directory, 'platform.pem'), '');
  const trust = files();
  await trust.make(platform);
  expect([(await trust.roots()).size, await trust.signing('policy')]).toEqual([0, undefined]);
});

it('takes the next root and the key it names as they are put there, and no root that does not follow', async () => {
  const trust = files();
  await trust.make(platform);
  const first = await trust.signing('policy');
  const { bytes, keyId } = await nextRoot();
  writeFileSync(at('root-2'), bytes.slice(1));
  expect(await trust.signing('policy')).toMatchObject({ rootVersion: 1, signers: [{}] });
  expect(told.map(({ code }) => code)).toEqual(['file-unreadable']);
  expect((await trust.signing('policy'))?.signers[0]?.keyId()).toBe(first?.signers[0]?.keyId());
  expect(told).toHaveLength(1);

  writeFileSync(at('root-2'), bytes);
  // a key that the newest root does not name signs nothing
  expect(await trust.signing('policy')).toBeUndefined();
  expect((await trust.signing('command'))?.rootVersion).toBe(2);
  copyFileSync(join(directory, 'policy-2.key'), at('policy.key'));
  const second = await trust.signing('policy');
  expect([second?.rootVersion, second?.signers[0]?.keyId()]).toEqual([2, keyId]);
  expect([...(await trust.roots()).keys()]).toEqual([1, 2]);
});

it('refuses roots of another organization, and what is none', async () => {
  await files().make(platform);
  mkdirSync(join(directory, 'trust/ward'));
  copyFileSync(at('root-1'), join(directory, 'trust/ward/root-1'));
  const refused = async (trust: TrustFiles) => {
    const error = await trust.roots().catch((reason: unknown) => reason);
    return isFault(error, 'file-unreadable') ? error.message : error;
  };
  expect(await refused(files('ward'))).toContain('other-organization');
  writeFileSync(at('root-1'), 'none');
  expect(await refused(files())).toContain('root-1');
});
