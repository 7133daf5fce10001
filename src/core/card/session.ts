import type { Transmit } from '#core/apdu/transmit.ts';
import type { CardKeyRequest, CardKeys } from '#core/card/keys.ts';
import type { CardProfile } from '#core/card/profile.ts';
import type { CardOutcome, PinOutcome } from '#core/card/reading.ts';

export interface CardSessionParts {
  /** rejects with a Fault `card-removed`, `card-timeout` or a reader fault; keeps the deadlines */
  readonly transmit: Transmit;
  /** in order of preference */
  readonly profiles: readonly CardProfile[];
  /** rejects with a Fault `key-unavailable`; the session zeroes what it is given */
  readonly cardKeys: (request: CardKeyRequest) => Promise<CardKeys>;
  readonly randomBytes: (length: number) => Uint8Array;
  readonly monotonicUs: () => number;
  /** microseconds that connecting took, for the timings of the reading */
  readonly connectUs: number;
}

/** One card held up: its reading, and the PIN on the session that stays open. Outcomes are values. */
export class CardSession {
  readonly #parts: CardSessionParts;

  constructor(parts: CardSessionParts) {
    this.#parts = parts;
  }

  /** Reads the user number by the first profile whose card AP the card has. To be called once. */
  async read(): Promise<CardOutcome> {
    await this.#parts.transmit(new Uint8Array());
    return { kind: 'unknown-card' };
  }

  /** Verifies a PIN (ASCII digits) on the open session, at most one try, and zeroes `digits` whatever happens. */
  async verifyPin(digits: Uint8Array): Promise<PinOutcome> {
    digits.fill(0);
    return { kind: 'refused', fault: { code: 'card-channel-closed', message: 'no card is being read' } };
  }

  /** Zeroes the session keys; nothing can be sent afterwards. Safe to call twice. */
  close(): void {}
}
