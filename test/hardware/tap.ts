import { setTimeout as pass } from 'node:timers/promises';
import type { VirtualCard } from '#simulators/card/virtual-card.ts';
import { VpcdLink } from '#simulators/vpcd/vpcd-link.ts';
import { cardOf } from './cards.ts';
import { readers } from './configuration.ts';
import type { LineWatch } from './lines.ts';

/** how long a card is away that is held up again because nobody noticed it, in milliseconds */
const awayMs = 2_000;
/** longer than a lamp that blinks at a fault is as it is, in milliseconds */
const blinkMs = 2_000;

/** What the lamps of a reader said about a card. */
export type Shown = 'granted' | 'denied';

/** What puts a card into a reader, and takes it away. */
interface Hand {
  insert(card: VirtualCard): unknown;
  remove(): void;
}

/**
 * Resolves when the lamps of a reader have been dark for so long that they tell of no fault, at which they would blink, and
 * which would be taken for an answer to a card: on a busy host a part of the terminal may be found hung, and started anew.
 */
export async function calm(watch: LineWatch, slot: 0 | 1): Promise<void> {
  const lamps: readonly number[] = [readers[slot].granted, readers[slot].denied];
  for (let seen = -1; ; ) {
    const changes = watch.changes.filter(({ line }) => lamps.includes(line)).length;
    if (changes === seen && lamps.every((line) => watch.level(line) === 0)) return;
    seen = changes;
    await pass(blinkMs);
  }
}

/**
 * Holds the card of `holder` up at a reader of the machine until its lamps answer, again where they have not for
 * `patienceMs`. The card is on this side: a virtual one at the port of vpcd, unless another hand holds it. Never resolves
 * when the watch is stopped before, and takes the card back then.
 */
export async function tap(
  watch: LineWatch,
  slot: 0 | 1,
  holder: string,
  { hand, patienceMs = 30_000 }: { readonly hand?: Hand; readonly patienceMs?: number } = {},
): Promise<Shown> {
  const { granted, denied } = readers[slot];
  const link = hand ?? new VpcdLink({ slot, whenLost: 'retry' });
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
      link.remove();
      await pass(awayMs);
      if (watch.stopped.aborted) await answered;
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

/** Holds the card up until it is granted, a few times at most: a machine as slow as this one may miss a deadline. */
export async function granted(watch: LineWatch, slot: 0 | 1, holder: string): Promise<void> {
  for (let taps = 0; taps < 5; taps += 1) {
    await calm(watch, slot);
    if ((await tap(watch, slot, holder)) === 'granted') return;
  }
  throw new Error(`${holder} was denied again and again`);
}
