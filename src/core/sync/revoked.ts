import type { PolicySlice } from '#core/access/policy.ts';
import { changesOf, furtherOf, isBefore, nowhere, type Progress } from './progress.ts';
import type { KnownChanges, Revocation } from './revocation.ts';

/**
 * What is revoked ahead of the manifest that says so: it counts until one is in force whose changes go as far, and only
 * refuses.
 */
export class Revoked {
  /** the last change, by holder and by card */
  readonly #holders = new Map<string, Progress>();
  readonly #cards = new Map<string, Progress>();

  add({ holders, cards, ...change }: KnownChanges & Pick<Revocation, 'holders' | 'cards'>): void {
    for (const holderId of holders) raise(this.#holders, holderId, changesOf(change));
    for (const card of cards) raise(this.#cards, nameOf(card), changesOf(change));
  }

  /** Forgets what a policy with these changes has. */
  drop(known: KnownChanges): void {
    for (const revoked of [this.#holders, this.#cards]) {
      for (const [name, change] of revoked) if (!isBefore(changesOf(known), change)) revoked.delete(name);
    }
  }

  /** The slice of a policy with these changes, with what is revoked beyond them suspended. */
  revised<S extends Pick<PolicySlice, 'holder' | 'card'>>(slice: S, known: KnownChanges): S {
    const { holder, card } = slice;
    const isRevoked = (change: Progress | undefined): boolean =>
      change !== undefined && isBefore(changesOf(known), change);
    // of a holder who is suspended the cards are revoked as well: the decision is to name the holder
    if (holder && isRevoked(this.#holders.get(holder.holderId)))
      return holder.status === 'active'
        ? { ...slice, holder: { ...holder, status: 'suspended' as const } }
        : slice;
    if (card?.status === 'active' && isRevoked(this.#cards.get(nameOf(card))))
      return { ...slice, card: { ...card, status: 'suspended' as const } };
    return slice;
  }
}

function raise(revoked: Map<string, Progress>, name: string, change: Progress): void {
  revoked.set(name, furtherOf(change, revoked.get(name) ?? nowhere));
}

function nameOf(card: Revocation['cards'][number]): string {
  return JSON.stringify([card.profileId, card.userNumber, card.diversifier ?? '']);
}
