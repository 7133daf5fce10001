import type { PolicySlice } from '#core/access/policy.ts';
import type { Revocation } from './revocation.ts';

/**
 * What is revoked ahead of the manifest that says so: it counts until one is in force whose changes go as far, and only
 * refuses.
 */
export class Revoked {
  /** number of the last change, by holder and by card */
  readonly #holders = new Map<string, number>();
  readonly #cards = new Map<string, number>();

  add({ changeNumber, holders, cards }: Pick<Revocation, 'changeNumber' | 'holders' | 'cards'>): void {
    for (const holderId of holders) raise(this.#holders, holderId, changeNumber);
    for (const card of cards) raise(this.#cards, nameOf(card), changeNumber);
  }

  /** Forgets what a policy with the changes up to `changeNumber` has. */
  drop(changeNumber: number): void {
    for (const known of [this.#holders, this.#cards]) {
      for (const [name, number] of known) if (number <= changeNumber) known.delete(name);
    }
  }

  /** The slice of a policy with the changes up to `changeNumber`, with what is revoked beyond them suspended. */
  revised<S extends Pick<PolicySlice, 'holder' | 'card'>>(slice: S, changeNumber: number): S {
    const { holder, card } = slice;
    const holderRevoked = (holder && (this.#holders.get(holder.holderId) ?? 0)) ?? 0;
    const cardRevoked = (card && (this.#cards.get(nameOf(card)) ?? 0)) ?? 0;
    return {
      ...slice,
      ...(holder?.status === 'active' && holderRevoked > changeNumber
        ? { holder: { ...holder, status: 'suspended' as const } }
        : {}),
      ...(card?.status === 'active' && cardRevoked > changeNumber
        ? { card: { ...card, status: 'suspended' as const } }
        : {}),
    };
  }
}

function raise(known: Map<string, number>, name: string, changeNumber: number): void {
  known.set(name, Math.max(changeNumber, known.get(name) ?? 0));
}

function nameOf(card: Revocation['cards'][number]): string {
  return JSON.stringify([card.profileId, card.userNumber, card.diversifier ?? '']);
}
