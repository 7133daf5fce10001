import { randomBytes } from 'node:crypto';
import { PcscReaders } from '#adapters/pcsc/pcsc-readers.ts';
import type { Reading } from '#core/card/reading.ts';
import type { CardReaderEvents } from '#ports/card-reader.ts';

/**
 * The command line itself, with cards that can be held up at the reader of `configureTerminal`: those of the readings in
 * a message of the process that started this, one after the other. It is answered when the last has been decided about.
 */
const start = PcscReaders.prototype.start;
let events: CardReaderEvents | undefined;
PcscReaders.prototype.start = function startTapped(this: PcscReaders, given: CardReaderEvents) {
  events = given;
  return start.call(this, given);
};

process.on('message', async (readings: readonly Reading[]) => {
  for (const reading of readings) await heldUp(reading);
  process.send?.(readings.length);
});

function heldUp(reading: Reading): Promise<void> {
  const readerName = 'absent';
  const { organization, profileId, diversifier = '' } = reading;
  return new Promise((resolve) => {
    events?.cardDetected(readerName);
    events?.cardClaimed(readerName, { organization, profileId, diversifier });
    events?.cardPresented({
      tapId: randomBytes(16).toString('hex'),
      readerName,
      presentedAtUs: Number(process.hrtime.bigint() / 1_000n),
      outcome: { kind: 'reading', reading },
      verifyPin: async () => ({ kind: 'blocked' }),
      end: async () => resolve(),
    });
  });
}

await import('#cli/main.ts');
