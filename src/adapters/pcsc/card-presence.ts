/** What is known of the card in a reader. `count` is pcscd's counter of insertions and removals, modulo 65,536. */
export type CardPresence =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'empty'; readonly count: number }
  | { readonly kind: 'present'; readonly count: number };

export type PresenceChange = 'inserted' | 'removed';

export interface PresenceStep {
  readonly presence: CardPresence;
  /** in the order in which they happened */
  readonly changes: readonly PresenceChange[];
  /**
   * The state says that the reader is empty, the counter that the card has not been removed: pcscd sets the state
   * so when a reset fails, without looking, and then reports no card until it has seen the reader empty
   */
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
  const presence: CardPresence = { kind: present ? 'present' : 'empty', count };
  // the counter starts at 0 with the reader empty, so it is odd while a card is there
  if (before.kind === 'unknown') {
    return { presence, changes: present ? ['inserted'] : [], doubtful: !present && count % 2 === 1 };
  }
  const passed = (count - before.count) & 0xffff;
  const same = passed === 0 && presence.kind === before.kind;
  if (same || passed >= 0x8000) return { presence: before, changes: [], doubtful: false };
  if (before.kind === 'present') {
    const changes: PresenceChange[] = present ? ['removed', 'inserted'] : ['removed'];
    return { presence, changes, doubtful: !present && passed === 0 };
  }
  return { presence, changes: present ? ['inserted'] : ['inserted', 'removed'], doubtful: false };
}
