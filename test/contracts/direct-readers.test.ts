import { SystemClock } from '#adapters/os/clock.ts';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { DirectReaders } from '#simulators/card/direct-readers.ts';
import { readTestKeys, TestKeys } from '#simulators/card/test-keys.ts';
import { cardReadersContract } from './card-readers.ts';

cardReadersContract('direct', async (profiles, limits) => {
  const names = ['Direct reader 1', 'Direct reader 2'] as const;
  const readers = new DirectReaders({
    readers: names.map((readerName) => ({ readerName, profileIds: profiles.map(({ id }) => id) })),
    profiles,
    keys: new TestKeys(await readTestKeys()),
    entropy: new SystemEntropy(),
    clock: new SystemClock(),
    ...limits,
  });
  return {
    readers,
    names,
    insert: async (readerName, card) => readers.insert(readerName, card),
    remove: (readerName) => readers.remove(readerName),
    close: () => readers.stop(),
  };
});
