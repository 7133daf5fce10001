import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { chown, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CardKeyTable, CardKeyWriter, type CardName } from '#adapters/sealed/card-key-file.ts';
import {
  describeReceiver,
  makeReceivingKey,
  receiverFingerprint,
  receiverKey,
} from '#adapters/sealed/receiving-key.ts';
import { SealedCardKeys } from '#adapters/sealed/sealed-card-keys.ts';
import { fromHex, toHex } from '#core/bytes/bytes.ts';
import { deriveCardKeys } from '#core/card/diversification.ts';

const sealing = { credential: 'sealing' } as const;
const master = new Uint8Array(16).fill(7);
const card = (n: number, keyVersion = 1): CardName => {
  const diversifier = new Uint8Array(10);
  new DataView(diversifier.buffer).setUint32(6, n);
  return { profileId: 'synthetic-type-a', keyVersion, diversifier };
};
const keysOf = ({ diversifier }: CardName, key = master) => deriveCardKeys(key, 'an10922', diversifier);
const about = { terminal: 'entrance', exportId: 'test', exportedAt: '2026-11-22T00:00:00.000Z' };

function fileOf(
  recipient: KeyObject,
  cards: readonly CardName[],
  key = master,
  terminal = 'entrance',
): Uint8Array {
  const writer = new CardKeyWriter(recipient);
  for (const one of cards) writer.add(one, keysOf(one, key));
  return writer.finish({ ...about, terminal });
}

let folder = '';
let directory = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kazasu-card-keys-'));
  directory = join(folder, 'card-keys');
  await writeFile(join(folder, 'sealing'), new Uint8Array(32).fill(9), { mode: 0o600 });
  vi.stubEnv('CREDENTIALS_DIRECTORY', folder);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

const ask = (keys: SealedCardKeys, one: CardName) => keys.cardKeys({ ...one, diversification: 'an10922' });
const hexOf = (keys: { encryption: Uint8Array; mac: Uint8Array }) => [
  toHex(keys.encryption),
  toHex(keys.mac),
];

describe('a terminal without master keys', () => {
  let recipient: KeyObject;
  let keys: SealedCardKeys;
  let installed: (() => void) | undefined;
  beforeEach(async () => {
    const made = new SealedCardKeys({ directory, sealing });
    await expect(made.start()).rejects.toMatchObject({ code: 'key-unavailable' });
    await made.stop();
    recipient = receiverKey(await makeReceivingKey(directory, { sealing, terminal: 'entrance' }));
    keys = new SealedCardKeys({ directory, sealing, changed: () => installed?.() });
  });
  afterEach(() => keys.stop());

  test('serves the cards it has, by profile, version and diversifier, and no other', async () => {
    await keys.install(fileOf(recipient, [card(1), card(2), card(2, 2)]));
    await keys.start();
    expect(keys.installed()).toMatchObject({ count: 3, terminal: 'entrance' });
    for (const one of [card(1), card(2), card(2, 2)])
      expect(hexOf(await ask(keys, one))).toEqual(hexOf(keysOf(one)));
    for (const other of [card(3), card(1, 2), { ...card(1), profileId: 'synthetic-type-d' }]) {
      await expect(ask(keys, other)).rejects.toMatchObject({ code: 'card-key-missing' });
    }
    const shared = keys.cardKeys({ profileId: 'p', keyVersion: 1, diversification: 'none' });
    await expect(shared).rejects.toMatchObject({ code: 'key-unavailable' });
  });

  test('serves what is installed while it runs from the next tap, and keeps the old until then', async () => {
    await keys.install(fileOf(recipient, [card(1)]));
    await keys.start();
    const changed = new Promise<void>((resolve) => {
      installed = resolve;
    });
    await keys.install(fileOf(recipient, [card(1), card(2)]));
    expect(hexOf(await ask(keys, card(1)))).toEqual(hexOf(keysOf(card(1))));
    await changed;
    expect(hexOf(await ask(keys, card(2)))).toEqual(hexOf(keysOf(card(2))));
  });

  test('serves as soon as something is installed, though it started with nothing', async () => {
    const changed = new Promise<void>((resolve) => {
      installed = resolve;
    });
    await expect(keys.start()).rejects.toMatchObject({ code: 'key-unavailable' });
    await keys.install(fileOf(recipient, [card(5)]));
    await changed;
    expect(hexOf(await ask(keys, card(5)))).toEqual(hexOf(keysOf(card(5))));
  });

  test('misses nothing that is installed while it starts, and an older reading never wins', async () => {
    await keys.install(fileOf(recipient, [card(1)]));
    const [old, newer] = [fileOf(recipient, [card(1)]), fileOf(recipient, [card(1), card(2)])];
    for (let turns = 0; turns < 12; turns += 1) {
      await keys.install(old);
      const news = new Promise<void>((resolve) => {
        installed = () => keys.installed()?.count === 2 && resolve();
      });
      const started = keys.start();
      for (let i = 0; i < turns; i += 1) await turn();
      await keys.install(newer);
      await started;
      if (keys.installed()?.count !== 2) await news;
      expect(keys.installed()?.count, `after ${turns} turns`).toBe(2);
      await keys.stop();
    }
  });

  test('serves no more once its keys were removed, and says so', async () => {
    await keys.install(fileOf(recipient, [card(1)]));
    await keys.start();
    expect(keys.fault()).toBeUndefined();
    const told = new Promise<void>((resolve) => {
      installed = resolve;
    });
    await rm(join(directory, 'card-keys'));
    await told;
    expect(keys.fault()).toMatchObject({ code: 'key-unavailable' });
    await expect(ask(keys, card(1))).rejects.toMatchObject({ code: 'key-unavailable' });
  });

  test('goes on serving what it has while what came cannot be used', async () => {
    await keys.install(fileOf(recipient, [card(1)]));
    await keys.start();
    const told = new Promise<void>((resolve) => {
      installed = resolve;
    });
    await writeFile(join(directory, 'card-keys'), 'not a file of keys');
    await told;
    expect(keys.fault()).toBeUndefined();
    await expect(ask(keys, card(1))).resolves.toBeDefined();
  });

  test('installs a file whole or not at all', async () => {
    const good = fileOf(recipient, [card(1), card(2), card(3)]);
    await keys.install(good);
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const wrong: readonly Uint8Array[] = [
      new Uint8Array(),
      good.subarray(0, 3),
      good.subarray(0, -1),
      Buffer.concat([good, Buffer.of(0)]),
      fileOf(publicKey, [card(1)]),
      fileOf(recipient, [card(1)], master, 'another'),
    ];
    for (const content of wrong) {
      await expect(keys.install(content)).rejects.toMatchObject({ code: 'key-file-invalid' });
    }
    for (let at = 0; at < good.length; at += 7) {
      const flipped = Buffer.from(good);
      flipped[at] = (flipped[at] ?? 0) ^ 0x10;
      await expect(keys.install(flipped), `byte ${at}`).rejects.toMatchObject({ code: 'key-file-invalid' });
    }
    expect((await readdir(directory)).sort()).toEqual(['card-keys', 'receiving-key']);
    await keys.start();
    expect(keys.installed()?.count).toBe(3);
  });

  test('on another device opens nothing, and tells nobody which cards it has', async () => {
    await keys.install(fileOf(recipient, [card(1)]));
    const stored = Buffer.concat([
      await readFile(join(directory, 'card-keys')),
      await readFile(join(directory, 'receiving-key')),
    ]);
    for (const secret of [card(1).diversifier, master, keysOf(card(1)).mac])
      expect(stored.includes(Buffer.from(secret))).toBe(false);
    await writeFile(join(folder, 'sealing'), new Uint8Array(32).fill(10));
    await expect(keys.start()).rejects.toMatchObject({ code: 'key-sealing-mismatch' });
    await expect(ask(keys, card(1))).rejects.toMatchObject({ code: 'key-sealing-mismatch' });
  });

  test('opened by force, it erases its keys from memory and disk, and none come back by restart', async () => {
    await keys.install(fileOf(recipient, [card(1)]));
    await keys.start();
    const erased = keys.erase();
    await expect(ask(keys, card(1))).rejects.toMatchObject({ code: 'key-unavailable' });
    await erased;
    expect(await readdir(directory)).toEqual([]);
    await keys.stop();
    await expect(keys.start()).rejects.toMatchObject({ code: 'key-unavailable' });
    await keys.erase();
  });

  test('after a false alarm a new receiving key and a new export serve without a restart', async () => {
    const old = fileOf(recipient, [card(1)]);
    await keys.install(old);
    await keys.start();
    await keys.erase();
    recipient = receiverKey(await makeReceivingKey(directory, { sealing, terminal: 'entrance' }));
    await expect(keys.install(old)).rejects.toMatchObject({ code: 'key-file-invalid' });
    const served = new Promise<void>((resolve) => {
      installed = () => keys.installed() && resolve();
    });
    await keys.install(fileOf(recipient, [card(1)]));
    await served;
    expect(hexOf(await ask(keys, card(1)))).toEqual(hexOf(keysOf(card(1))));
  });

  test('keeps its receiving key, and tells it again', async () => {
    await expect(makeReceivingKey(directory, { sealing, terminal: 'entrance' })).rejects.toMatchObject({
      code: 'key-refused',
    });
    const receiver = await describeReceiver(directory, sealing);
    expect(receiverKey(receiver).equals(recipient)).toBe(true);
    expect(receiverFingerprint(receiver)).toMatch(/^(?:[0-9A-F]{4} ){7}[0-9A-F]{4}$/);
    expect(() => receiverKey({ ...receiver, publicKey: 'AAAA' })).toThrow(
      expect.objectContaining({ code: 'key-file-invalid' }),
    );
  });
});

test.skipIf(process.getuid?.() !== 0)(
  'what root makes belongs to the user of the terminal, whose folder it is in',
  async () => {
    await chown(folder, 4_711, 4_712);
    const owners = async (...names: readonly string[]) =>
      Promise.all(names.map(async (name) => (await stat(join(folder, name))).uid));
    directory = join(folder, 'deep', 'card-keys');
    const keys = new SealedCardKeys({ directory, sealing });
    await expect(keys.start()).rejects.toMatchObject({ code: 'key-unavailable' });
    await keys.stop();
    expect(await owners('deep', 'deep/card-keys')).toEqual([4_711, 4_711]);
    await makeReceivingKey(directory, { sealing, terminal: 'entrance' });
    expect(await owners('deep/card-keys/receiving-key')).toEqual([4_711]);
  },
);

test('keys of several lengths stand in one file, a card named twice once', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const writer = new CardKeyWriter(publicKey);
  const long = new Uint8Array(32).fill(3);
  expect(writer.add(card(1), keysOf(card(1)))).toBe(true);
  expect(writer.add(card(2), keysOf(card(2), long))).toBe(true);
  expect(writer.add(card(1), keysOf(card(1), long))).toBe(false);
  const table = await CardKeyTable.open(writer.finish(about), privateKey, 'file');
  expect(table.header.count).toBe(2);
  expect(hexOf(table.find(card(1)) ?? keysOf(card(9)))).toEqual(hexOf(keysOf(card(1))));
  expect(hexOf(table.find(card(2)) ?? keysOf(card(9)))).toEqual(hexOf(keysOf(card(2), long)));
  table.close();
});

test('whatever becomes of an export, no key outlives it', () => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const given = [card(1), card(2), card(1), card(3)].map((one) => ({ one, keys: keysOf(one) }));
  const zeroed = () => given.map(({ keys }) => [...keys.encryption, ...keys.mac].every((byte) => byte === 0));
  const writer = new CardKeyWriter(publicKey);
  for (const { one, keys } of given.slice(0, 3)) writer.add(one, keys);
  // one of a card that is there already is of no use
  expect(zeroed()).toEqual([false, false, true, false]);
  writer.close();
  expect(zeroed()).toEqual([true, true, true, false]);
  // as from a vault that was asked before the export failed
  for (const { one, keys } of given.slice(3)) expect(writer.add(one, keys)).toBe(false);
  expect(zeroed()).toEqual([true, true, true, true]);

  const failing = new CardKeyWriter(publicKey);
  const last = keysOf(card(4));
  failing.add(card(4), last);
  expect(() => failing.finish({ ...about, terminal: 'x'.repeat(70_000) })).toThrow(RangeError);
  expect([...last.encryption, ...last.mac].every((byte) => byte === 0)).toBe(true);
});

test('whatever a file holds, it opens or is refused, and nothing else', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const good = Buffer.from(fileOf(publicKey, [card(1), card(2)]));
  const changes = fc.record({ at: fc.nat(good.length - 1), length: fc.integer({ min: 1, max: 64 }) });
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), changes, async (random, { at, length }) => {
      const spliced = Buffer.concat([good.subarray(0, at), random, good.subarray(at + length)]);
      for (const content of [random, Buffer.concat([good.subarray(0, 7), random]), spliced]) {
        if (good.equals(content)) continue;
        await expect(CardKeyTable.open(content, privateKey, 'file')).rejects.toMatchObject({
          code: 'key-file-invalid',
        });
      }
    }),
  );
});

test('a file of another version is told as such', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const content = Buffer.from(fileOf(publicKey, [card(1)]));
  content[4] = 2;
  await expect(CardKeyTable.open(content, privateKey, 'file')).rejects.toMatchObject({
    code: 'key-file-invalid',
    message: expect.stringContaining('another version'),
  });
});

test('a look-up among 250,000 cards takes less than 1 ms', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const writer = new CardKeyWriter(publicKey);
  const key = fromHex('00112233445566778899AABBCCDDEEFF');
  for (let n = 0; n < 250_000; n += 1) writer.add(card(n), { encryption: key.slice(), mac: key.slice() });
  const content = writer.finish(about);
  const began = performance.now();
  const table = await CardKeyTable.open(content, privateKey, 'file');
  const openedMs = performance.now() - began;
  const times = Array.from({ length: 2_000 }, (_, i) => {
    const from = performance.now();
    const found = table.find(card((i * 7919) % 250_000));
    const took = performance.now() - from;
    expect(found?.mac).toEqual(key);
    return took;
  }).sort((a, b) => a - b);
  const [median = 0, p99 = 0] = [times[1_000], times[1_980]];
  process.stdout.write(
    `card keys: ${(content.length / 1e6).toFixed(0)} MB opened in ${openedMs.toFixed(0)} ms, look-up p50 ${(1_000 * median).toFixed(0)} µs, p99 ${(1_000 * p99).toFixed(0)} µs\n`,
  );
  expect(p99).toBeLessThan(1);
});
