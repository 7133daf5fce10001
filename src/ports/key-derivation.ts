import type { CardKeyRequest, CardKeys } from '#core/card/keys.ts';

/**
 * Derives a card's keys from master keys that stay inside. Rejects with
 * a Fault `card-key-missing` where there is none for that card, `key-unavailable` while keys cannot be reached.
 */
export interface KeyDerivation {
  cardKeys(request: CardKeyRequest): Promise<CardKeys>;
}
