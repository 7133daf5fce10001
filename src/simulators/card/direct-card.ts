import type { Transmit } from '#core/apdu/transmit.ts';
import type { CardProfile } from '#core/card/profile.ts';
import type { CardClaim, CardOutcome, PinOutcome } from '#core/card/reading.ts';
import { CardSession } from '#core/card/session.ts';
import { Fault, isFault, toFaultRecord } from '#core/fault.ts';
import type { PresentedCard } from '#ports/card-reader.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { KeyDerivation } from '#ports/key-derivation.ts';

/** The side of a card that a reader meets. */
export interface CardFace {
  powerOn(): void;
  powerOff(): void;
  reset(): void;
  readonly transmit: Transmit;
  /** called when the card leaves the field by itself */
  onRemoved?: (() => void) | undefined;
}

export interface DirectCardParts {
  readonly tapId: string;
  readonly readerName: string;
  readonly card: CardFace;
  readonly profiles: readonly CardProfile[];
  readonly keys: KeyDerivation;
  readonly claimed: (claim: CardClaim) => void;
  readonly entropy: Entropy;
  readonly clock: Clock;
  readonly apduDeadlineMs: number;
  readonly tapDeadlineMs: number;
  readonly sessionDeadlineMs: number;
}

/** One tap of a virtual card on a session, with the deadlines that a real reader's adapter keeps. */
export class DirectCard {
  readonly #parts: DirectCardParts;
  readonly #session: CardSession;
  readonly #presentedAtUs: number;
  #failure: Fault | undefined;
  #abandon: ((fault: Fault) => void) | undefined;
  #cancelLimit: CancelTimer | undefined;
  #reading: Promise<CardOutcome> | undefined;

  constructor(parts: DirectCardParts) {
    this.#parts = parts;
    this.#presentedAtUs = parts.clock.monotonicUs();
    this.#session = new CardSession({
      transmit: (command) => this.#exchange(command),
      profiles: parts.profiles,
      cardKeys: (request) => parts.keys.cardKeys(request),
      claimed: parts.claimed,
      randomBytes: (length) => parts.entropy.bytes(length),
      monotonicUs: () => parts.clock.monotonicUs(),
      presentedAtUs: this.#presentedAtUs,
    });
  }

  /** Reads the card; whatever happens is an outcome. */
  async read(): Promise<PresentedCard> {
    const { tapId, readerName, clock, tapDeadlineMs, sessionDeadlineMs } = this.#parts;
    const timeout = new Fault('card-timeout', 'the time for this card is up');
    const tooSlow = new Fault('reading-too-slow', 'the reading took too long');
    this.#cancelLimit = clock.after(tapDeadlineMs, () => this.#breakOff(tooSlow));
    this.#reading = this.#session.read();
    const outcome = await this.#reading;
    this.#cancelLimit();
    this.#cancelLimit = this.#failure ? undefined : clock.after(sessionDeadlineMs, () => this.#end(timeout));
    if (outcome.kind !== 'reading') this.#end(sessionEnded());
    return {
      tapId,
      readerName,
      presentedAtUs: this.#presentedAtUs,
      outcome,
      verifyPin: (digits) => this.#verifyPin(digits),
      end: async () => this.#end(sessionEnded()),
    };
  }

  /** The card has left the field; resolves when a reading that this broke off has been told. */
  async removed(): Promise<void> {
    this.#breakOff(new Fault('card-removed', 'the card has left the reader'));
    this.#cancelLimit?.();
    await this.#reading;
    this.#session.close();
  }

  async #verifyPin(digits: Uint8Array): Promise<PinOutcome> {
    try {
      if (isFault(this.#failure, 'card-removed')) return { kind: 'removed' };
      if (isFault(this.#failure, 'card-timeout')) return { kind: 'timeout' };
      if (this.#failure) return { kind: 'refused', fault: toFaultRecord(this.#failure) };
      return await this.#session.verifyPin(digits);
    } finally {
      digits.fill(0);
    }
  }

  #end(fault: Fault): void {
    this.#cancelLimit?.();
    if (!this.#failure) this.#parts.card.reset();
    this.#breakOff(fault);
    this.#session.close();
  }

  #breakOff(fault: Fault): void {
    this.#failure ??= fault;
    this.#abandon?.(this.#failure);
  }

  #exchange(command: Uint8Array): Promise<Uint8Array> {
    if (this.#failure) return Promise.reject(this.#failure);
    const { card, clock, apduDeadlineMs } = this.#parts;
    return new Promise((resolve, reject) => {
      const text = `no answer within ${apduDeadlineMs} ms`;
      const cancel = clock.after(apduDeadlineMs, () => this.#breakOff(new Fault('card-timeout', text)));
      this.#abandon = (fault) => {
        cancel();
        reject(fault);
      };
      card.transmit(command).then(
        (response) => {
          cancel();
          resolve(response);
        },
        (error: unknown) => {
          cancel();
          reject(error);
        },
      );
    });
  }
}

function sessionEnded(): Fault {
  return new Fault('card-channel-closed', 'the card session has ended');
}
