import { pino } from 'pino';
import { PcscReaders } from '#adapters/pcsc/pcsc-readers.ts';
import { readTestKeys, TestKeys } from '#simulators/card/test-keys.ts';
import { VpcdLink } from '#simulators/vpcd/vpcd-link.ts';
import { cardReadersContract } from '../../contracts/card-readers.ts';
import { Occupancy } from '../../pcsc/pcscd-fixture.ts';
import { readers } from '../configuration.ts';

/** how much slower than a device the machine is taken to be, in every deadline alike */
const slower = 20;

cardReadersContract(
  'PC/SC of the machine',
  async (profiles, limits) => {
    const names = [readers[0].name, readers[1].name] as const;
    const links = new Map(
      names.map((name, slot) => [name as string, new VpcdLink({ slot, whenLost: 'retry' })]),
    );
    const pcsc = new PcscReaders({
      allowed: names.map((readerName) => ({ readerName, profileIds: profiles.map(({ id }) => id) })),
      profiles,
      keys: new TestKeys(await readTestKeys()),
      ...limits,
      virtualReaders: 'refused',
      log: pino({ level: 'silent' }),
    });
    const occupancy = new Occupancy();
    return {
      readers: {
        start: (events) => pcsc.start(occupancy.before(events)),
        stop: () => pcsc.stop(),
        list: () => pcsc.list(),
      },
      names,
      insert: async (readerName, card) => links.get(readerName)?.insert(card),
      remove: (readerName) => links.get(readerName)?.remove(),
      close: async () => {
        // pcscd outlives the test, and must not show its cards to the next
        for (const link of links.values()) link.remove();
        await occupancy.empty();
        await pcsc.stop();
      },
    };
  },
  slower,
);
