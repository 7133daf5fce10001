import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CardKeyWriter } from '#adapters/sealed/card-key-file.ts';
import { FileVault } from '#adapters/sealed/file-vault.ts';
import { makeReceivingKey, receiverKey } from '#adapters/sealed/receiving-key.ts';
import { SealedCardKeys } from '#adapters/sealed/sealed-card-keys.ts';
import type { KeySource } from '#core/config/key-source.ts';
import { KeyWatch } from '#terminal/key-watch.ts';

let folder = '';
let lines: { readonly level: number; readonly msg: string; readonly fault?: string }[] = [];
let changed: (() => void) | undefined;
let watched: KeyWatch | undefined;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kazasu-key-watch-'));
  await writeFile(join(folder, 'passphrase'), 'a passphrase of tests alone\n', { mode: 0o600 });
  lines = [];
});
afterEach(async () => {
  await watched?.stop();
  await rm(folder, { recursive: true });
});

function watch(source: KeySource): KeyWatch {
  const log = pino({ base: null }, { write: (line) => lines.push(JSON.parse(line)) });
  watched = new KeyWatch({ source, log, changed: () => changed?.() });
  return watched;
}
/** Resolves when the status is told to have changed, by `action` or something it began. */
async function change(action: () => unknown): Promise<void> {
  const told = new Promise<void>((resolve) => {
    changed = resolve;
  });
  await action();
  await told;
}
const errors = () => lines.filter(({ level }) => level >= 50);
const sealing = () => ({ passphraseFile: join(folder, 'passphrase') });

describe('the status of a terminal’s keys', () => {
  test('tells that there are none, that they are there, and that they are gone', async () => {
    const directory = join(folder, 'card-keys');
    const watching = watch({ kind: 'card-keys', directory, sealing: sealing() });
    await change(() => {
      watching.start();
      expect(watching.status()).toBe('keys being opened');
    });
    expect(watching.status()).toBe('no keys: key-unavailable');
    expect(errors()).toMatchObject([
      { fault: 'key-unavailable', msg: expect.stringContaining('are denied') },
    ]);
    const about = { terminal: 'entrance', exportId: 'test', exportedAt: '2026-11-22T00:00:00.000Z' };
    const receiver = await makeReceivingKey(directory, { sealing: sealing(), terminal: 'entrance' });
    const content = new CardKeyWriter(receiverKey(receiver)).finish(about);
    await change(() => new SealedCardKeys({ directory, sealing: sealing() }).install(content));
    expect(watching.status()).toBe('keys not sealed');
    await change(() => writeFile(join(directory, 'card-keys'), 'not a file of keys'));
    expect(watching.status()).toBe('keys not sealed');
    expect(errors().at(-1)).toMatchObject({ msg: expect.stringContaining('go on serving') });
    const before = errors().length;
    await change(() => watching.erasure?.erase());
    expect(watching.status()).toBe('no keys: key-unavailable');
    expect(errors()).toHaveLength(before);
  });

  test('tells an error of what keeps a vault closed', async () => {
    const watching = watch({ kind: 'vault-file', file: join(folder, 'vault'), sealing: sealing() });
    await change(() => watching.start());
    expect(watching.status()).toBe('no keys: file-unreadable');
    expect(errors()).toHaveLength(1);
  });
});

test('a card that comes while the keys are being opened waits for them', async () => {
  const file = join(folder, 'vault');
  await new FileVault({ file, sealing: sealing() }).create([
    { profileId: 'staff', version: 1, diversification: 'none', key: new Uint8Array(16).fill(7) },
  ]);
  const watching = watch({ kind: 'vault-file', file, sealing: sealing() });
  watching.start();
  expect(watching.status()).toBe('keys being opened');
  const request = { profileId: 'staff', keyVersion: 1, diversification: 'none' } as const;
  expect((await watching.keys.cardKeys(request)).mac).toEqual(new Uint8Array(16).fill(7));
});

test('an orderly stop is no failure, though keys were just being opened', async () => {
  const file = join(folder, 'vault');
  await new FileVault({ file, sealing: sealing() }).create();
  changed = () => expect.unreachable('nothing is told after a stop');
  const sources: readonly KeySource[] = [
    { kind: 'vault-file', file, sealing: sealing() },
    { kind: 'card-keys', directory: join(folder, 'card-keys'), sealing: sealing() },
    {
      kind: 'pkcs11',
      module: '/usr/lib/softhsm/libsofthsm2.so',
      token: 'none of this label',
      pinFile: join(folder, 'passphrase'),
      directory: join(folder, 'token'),
      timeout: 1_000,
    },
  ];
  for (const source of sources) {
    const watching = watch(source);
    watching.start();
    await watching.stop();
    expect(errors(), source.kind).toEqual([]);
  }
});
