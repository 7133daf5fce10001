/** What is known of the card in a reader. `count` is pcscd's counter of insertions and removals, modulo 65,536. */
export type CardPresence =
  | { readonly kind: 'unknown' }
  | {
      readonly kind: 'empty';
      readonly count: number;
      /**
       * pcscd has said that the reader is empty without having counted the removal: it sets the state so when a reset
       * fails, without looking. It counts the removal when it sees the reader empty, and till then reports no card
       */
      readonly uncounted: boolean;
    }
  | { readonly kind: 'present'; readonly count: number };

export type PresenceChange = 'inserted' | 'removed';

export interface PresenceStep {
  readonly presence: CardPresence;
  /** in the order in which they happened */
  readonly changes: readonly PresenceChange[];
  /** the reader has been said to be empty by a removal that is uncounted: a card may be in it all the same */
  readonly doubtful: boolean;
}

/** winscard.h: SCARD_STATE_PRESENT; the other bits (in use, exclusive, mute, changed …) say nothing about presence */
const presentBit = 0x20;
/** winscard.h: SCARD_STATE_UNKNOWN, SCARD_STATE_UNAVAILABLE: the reader is gone or does not work */
const lostBits = 0x04 | 0x08;

/** Whether a reader state says that the reader itself cannot be used. */
export function readerLost(state: number): boolean {
  return (state & lostBits) !== 0;
}

/** pcscd's counter of insertions and removals in a reader state. */
export function insertionCount(state: number): number {
  return (state >>> 16) & 0xffff;
}

/**
 * Takes a reader state (SCardGetStatusChange). The counter in its upper 16 bits reveals what passed between two
 * states: a card that was replaced, or came and went. A state older than one already taken is ignored, since two
 * watches of one reader may report out of order while one takes over from the other.
 */
export function nextPresence(before: CardPresence, state: number): PresenceStep {
  const count = insertionCount(state);
  const present = (state & presentBit) !== 0;
  // the counter starts at 0 with the reader empty, so it is odd while a card is there
  if (before.kind === 'unknown') return step(present, count, present ? ['inserted'] : [], count % 2 === 1);
  const passed = (count - before.count) & 0xffff;
  const same = passed === 0 && present === (before.kind === 'present');
  if (same || passed >= 0x8000) return { presence: before, changes: [], doubtful: false };
  if (before.kind === 'present') {
    return step(present, count, present ? ['removed', 'inserted'] : ['removed'], passed % 2 === 0);
  }
  const news = before.uncounted ? passed - 1 : passed;
  const changes: PresenceChange[] = present ? ['inserted'] : news === 0 ? [] : ['inserted', 'removed'];
  return step(present, count, changes, news % 2 === 1);
}

/** `uncounted` matters for an empty reader alone. */
function step(
  present: boolean,
  count: number,
  changes: readonly PresenceChange[],
  uncounted: boolean,
): PresenceStep {
  if (present) return { presence: { kind: 'present', count }, changes, doubtful: false };
  return { presence: { kind: 'empty', count, uncounted }, changes, doubtful: uncounted };
}
