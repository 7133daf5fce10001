import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CardKeyWriter } from '#adapters/sealed/card-key-file.ts';
import { FileVault } from '#adapters/sealed/file-vault.ts';
import { makeReceivingKey, receiverKey } from '#adapters/sealed/receiving-key.ts';
import { SealedCardKeys } from '#adapters/sealed/sealed-card-keys.ts';
import { deriveCardKeys } from '#core/card/diversification.ts';
import type { KeyErasure } from '#ports/key-erasure.ts';
import type { DeviceKeys } from '#terminal/key-source.ts';

const sealing = { credential: 'sealing' } as const;
const diversifier = new Uint8Array(10).fill(4);
const card = { profileId: 'p', keyVersion: 1, diversification: 'an10922', diversifier } as const;
const master = () => new Uint8Array(16).fill(7);

let folder = '';
let directory = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kazasu-erasure-'));
  directory = join(folder, 'keys');
  await writeFile(join(folder, 'sealing'), new Uint8Array(32).fill(9), { mode: 0o400 });
  vi.stubEnv('CREDENTIALS_DIRECTORY', folder);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

/** A vault with the key of `card`, closed. */
async function fileVault(): Promise<FileVault> {
  await mkdir(directory);
  const vault = new FileVault({ file: join(directory, 'vault'), sealing });
  await vault.create([{ profileId: 'p', version: 1, diversification: 'an10922', key: master() }]);
  return vault;
}

/** Card keys with those of `card`, closed. */
async function cardKeys(): Promise<SealedCardKeys> {
  const receiver = receiverKey(await makeReceivingKey(directory, { sealing, terminal: 'entrance' }));
  const writer = new CardKeyWriter(receiver);
  writer.add(card, deriveCardKeys(master(), 'an10922', diversifier));
  const keys = new SealedCardKeys({ directory, sealing });
  await keys.install(
    writer.finish({ terminal: 'entrance', exportId: 'test', exportedAt: '2026-11-22T00:00:00.000Z' }),
  );
  return keys;
}

/**
 * Erases the keys of a fresh `make()` while `action` is under way with them, later and later until it is over before.
 * Whatever the moment, nothing must be left.
 */
async function erasedDuring<T extends DeviceKeys & KeyErasure>(
  make: () => Promise<T>,
  action: (keys: T) => Promise<unknown>,
): Promise<void> {
  let late = false;
  for (let turns = 0; !late; turns += 1 + Math.floor(turns / 4)) {
    const keys = await make();
    let over = false;
    const done = action(keys)
      .catch(() => undefined)
      .then(() => {
        over = true;
      });
    for (let i = 0; i < turns; i += 1) await turn();
    late = over;
    await keys.erase();
    expect(await readdir(directory), `after ${turns} turns`).toEqual([]);
    await done;
    expect(await readdir(directory), `after ${turns} turns`).toEqual([]);
    await expect(keys.cardKeys(card), `after ${turns} turns`).rejects.toMatchObject({
      code: 'key-unavailable',
    });
    await keys.stop();
    await rm(directory, { recursive: true });
  }
}

describe.each([
  { name: 'vault file', make: fileVault },
  { name: 'card keys', make: cardKeys },
])('erasing keys: $name', ({ make }) => {
  test('wins over a start under way', async () => {
    await erasedDuring<DeviceKeys & KeyErasure>(make, (keys) => keys.start());
  });

  test('takes what a power cut left of replacements with it', async () => {
    const keys = await make();
    for (const name of await readdir(directory)) {
      await copyFile(join(directory, name), join(directory, `${name}.new-0123456789ab`));
    }
    await writeFile(join(directory, 'vault.new-owner'), 'of somebody else');
    await keys.erase();
    expect(await readdir(directory)).toEqual(['vault.new-owner']);
  });

  test('destroys the rest where something cannot be destroyed, and tells what', async () => {
    const files = await make().then(() => readdir(directory));
    await rm(directory, { recursive: true });
    for (const file of files) {
      const keys = await make();
      await rename(join(directory, file), join(directory, `${file}.new-0123456789ab`));
      await mkdir(join(directory, file));
      await expect(keys.erase()).rejects.toMatchObject({
        code: 'key-file-invalid',
        message: expect.stringContaining(join(directory, file)),
      });
      expect(await readdir(directory)).toEqual([file]);
      await rm(directory, { recursive: true });
    }
  });
});

test('a file that cannot be overwritten is removed all the same, and told', async () => {
  await mkdir(directory);
  const file = join(directory, 'vault');
  // a running program can be removed, and not be written: ETXTBSY
  await copyFile('/bin/sleep', file);
  const running = spawn(file, ['60']);
  await once(running, 'spawn');
  try {
    const erased = new FileVault({ file, sealing }).erase();
    await expect(erased).rejects.toMatchObject({ message: expect.stringContaining('ETXTBSY') });
    expect(await readdir(directory)).toEqual([]);
  } finally {
    running.kill();
    await once(running, 'exit');
  }
});

test('erasing a vault wins over changes under way', async () => {
  const started = async () => {
    const vault = await fileVault();
    await vault.start();
    return vault;
  };
  await erasedDuring(started, (vault) =>
    Promise.all([
      vault.add({ profileId: 'p', version: 2, diversification: 'an10922', key: master() }),
      vault.destroy({ profileId: 'p', version: 1 }),
    ]),
  );
});
