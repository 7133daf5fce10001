import type { CardKeyRequest, CardKeys } from '#core/card/keys.ts';

/** Derives a card's keys from master keys that stay inside. Rejects with a Fault `key-unavailable`. */
export interface KeyDerivation {
  cardKeys(request: CardKeyRequest): Promise<CardKeys>;
}
