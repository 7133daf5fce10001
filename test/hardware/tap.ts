import { setTimeout as pass } from 'node:timers/promises';
import { VpcdLink } from '#simulators/vpcd/vpcd-link.ts';
import { cardOf } from './cards.ts';
import { readers } from './configuration.ts';
import type { LineWatch } from './lines.ts';

/** who is not noticed for so long holds the card up again, and how long it is away then, in milliseconds */
const patienceMs = 30_000;
const awayMs = 2_000;

/** What the lamps of a reader said about a card. */
export type Shown = 'granted' | 'denied';

/**
 * Holds the card of `holder` up at a reader of the machine until its lamps answer. The card is on this side: a virtual
 * one at the port of vpcd. Never resolves when the watch is stopped before, and takes the card back then.
 */
export async function tap(watch: LineWatch, slot: 0 | 1, holder: string): Promise<Shown> {
  const { granted, denied } = readers[slot];
  const link = new VpcdLink({ slot, whenLost: 'retry' });
  const wanted = [granted, denied].map((line) => ({ line, level: 1 }));
  const answered = watch.next(wanted);
  // or it would go on to the machine that is started next
  const takeBack = () => link.remove();
  watch.stopped.addEventListener('abort', takeBack);
  const card = cardOf(holder);
  await link.insert(card);
  try {
    for (;;) {
      const change = await Promise.race([answered, pass(patienceMs, undefined, { ref: false })]);
      if (change) return change.line === granted ? 'granted' : 'denied';
      if (watch.stopped.aborted) await answered;
      link.remove();
      await pass(awayMs);
      await link.insert(card);
    }
  } finally {
    const gone = watch.next(wanted.map(({ line }) => ({ line, level: 0 })));
    takeBack();
    watch.stopped.removeEventListener('abort', takeBack);
    // the lamps go out when the reader is ready for the next card
    await gone;
  }
}
