import { afterAll, beforeAll } from 'vitest';
import { cardReadersContract } from '../contracts/card-readers.ts';
import { Occupancy, openPcscdFixture, type PcscdFixture, readerNames } from './pcscd-fixture.ts';

let fixture: PcscdFixture;
beforeAll(async () => {
  fixture = await openPcscdFixture();
});
afterAll(() => fixture.close());

cardReadersContract('PC/SC', async (profiles, limits) => {
  const readers = await fixture.readers({ profiles, ...limits });
  const occupancy = new Occupancy();
  return {
    readers: {
      start: (events) => readers.start(occupancy.before(events)),
      stop: () => readers.stop(),
      list: () => readers.list(),
    },
    names: readerNames,
    insert: (readerName, card) => fixture.link(readerName).insert(card),
    remove: (readerName) => fixture.link(readerName).remove(),
    close: async () => {
      // pcscd outlives the test, and must not show its cards to the next
      fixture.removeCards();
      await occupancy.empty();
      await readers.stop();
    },
  };
});
