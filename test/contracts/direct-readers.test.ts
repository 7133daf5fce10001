import { chmod, copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKeyfileDerivation } from '#adapters/keyfile/key-derivation.ts';
import { SystemClock } from '#adapters/os/clock.ts';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { DirectReaders } from '#simulators/card/direct-readers.ts';
import { cardReadersContract } from './card-readers.ts';
import { deckFile } from './deck.ts';

cardReadersContract('direct', async (profiles, limits) => {
  const folder = await mkdtemp(join(tmpdir(), 'kazasu-direct-'));
  const keyFile = join(folder, 'keys.yaml');
  await copyFile(deckFile('keys'), keyFile);
  await chmod(keyFile, 0o600);
  const names = ['Direct reader 1', 'Direct reader 2'] as const;
  const readers = new DirectReaders({
    readers: names.map((readerName) => ({ readerName, profileIds: profiles.map(({ id }) => id) })),
    profiles,
    keys: await createKeyfileDerivation(keyFile),
    entropy: new SystemEntropy(),
    clock: new SystemClock(),
    ...limits,
  });
  return {
    readers,
    names,
    insert: async (readerName, card) => readers.insert(readerName, card),
    remove: (readerName) => readers.remove(readerName),
    close: async () => {
      await readers.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
});
