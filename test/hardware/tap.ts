import { VpcdLink } from '#simulators/vpcd/vpcd-link.ts';
import { cardOf } from './cards.ts';
import { readers } from './configuration.ts';
import type { LineWatch } from './lines.ts';

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
  await link.insert(cardOf(holder));
  try {
    return (await answered).line === granted ? 'granted' : 'denied';
  } finally {
    const gone = watch.next(wanted.map(({ line }) => ({ line, level: 0 })));
    takeBack();
    watch.stopped.removeEventListener('abort', takeBack);
    // the lamps go out when the reader is ready for the next card
    await gone;
  }
}
