import type { CardKeyRequest, CardKeys } from '#core/card/keys.ts';
import type { CardProfile } from '#core/card/profile.ts';
import type { CardClaim, CardOutcome, PinOutcome } from '#core/card/reading.ts';
import { CardSession } from '#core/card/session.ts';
import { Fault, isFault, toFaultRecord } from '#core/fault.ts';
import type { TimedConnection } from './timed-connection.ts';

export interface CardTapParts {
  readonly tapId: string;
  readonly connection: TimedConnection;
  readonly profiles: readonly CardProfile[];
  readonly tapDeadlineMs: number;
  readonly sessionDeadlineMs: number;
  readonly cardKeys: (request: CardKeyRequest) => Promise<CardKeys>;
  readonly claimed: (claim: CardClaim) => void;
  readonly randomBytes: (length: number) => Uint8Array;
  readonly monotonicUs: () => number;
  /** monotonic time of the card event, in microseconds */
  readonly presentedAtUs: number;
  /** called once, while the first answer of the card is waited for: what it does costs the tap no time */
  readonly begun: () => void;
}

/** How a card session that broke off ends, before a reading and for a PIN alike. */
function outcomeOf(fault: Fault): CardOutcome & PinOutcome {
  if (isFault(fault, 'card-removed')) return { kind: 'removed' };
  if (isFault(fault, 'card-timeout')) return { kind: 'timeout' };
  return { kind: 'refused', fault: toFaultRecord(fault) };
}

/** One card held up, from connecting to the reset that ends it. */
export class CardTap {
  readonly #parts: CardTapParts;
  #session: CardSession | undefined;
  #failure: Fault | undefined;
  #limit: NodeJS.Timeout | undefined;
  #ended: Promise<void> | undefined;

  constructor(parts: CardTapParts) {
    this.#parts = parts;
  }

  get tapId(): string {
    return this.#parts.tapId;
  }

  /** Connects and reads within the tap's deadline; whatever happens is an outcome. */
  async read(): Promise<CardOutcome> {
    const { connection, profiles, cardKeys, claimed, randomBytes, monotonicUs, presentedAtUs } = this.#parts;
    const { tapDeadlineMs } = this.#parts;
    const { transmit } = connection;
    const connecting = connection.connect();
    const text = 'the reading took too long';
    this.#limit = setTimeout(() => this.abort(new Fault('reading-too-slow', text)), tapDeadlineMs);
    const session = new CardSession({
      transmit,
      profiles,
      cardKeys,
      claimed,
      randomBytes,
      monotonicUs,
      presentedAtUs,
    });
    try {
      await connecting;
      this.#session = session;
    } catch (error) {
      this.#parts.begun();
      if (!isFault(error)) throw error;
      clearTimeout(this.#limit);
      return isFault(error, 'reading-too-slow')
        ? { kind: 'too-slow', exchanges: 0, cardUs: 0 }
        : outcomeOf(error);
    }
    try {
      const reading = session.read();
      this.#parts.begun();
      return await reading;
    } finally {
      clearTimeout(this.#limit);
    }
  }

  /** Runs `expired` when the session has been open for too long, so that nobody's death can hold a card. */
  keepOpen(expired: () => void): void {
    if (this.#failure) return;
    this.#limit = setTimeout(() => {
      this.abort(new Fault('card-timeout', 'the card session was open for too long'));
      expired();
    }, this.#parts.sessionDeadlineMs);
  }

  /** Verifies the PIN on the open session; zeroes `digits`. */
  async verifyPin(digits: Uint8Array): Promise<PinOutcome> {
    try {
      if (this.#failure) return outcomeOf(this.#failure);
      if (!this.#session) throw new Error('a PIN before the reading');
      return await this.#session.verifyPin(digits);
    } finally {
      digits.fill(0);
    }
  }

  /** Breaks the session off, so that what waits for the card gets `fault`. */
  abort(fault: Fault): void {
    this.#failure ??= fault;
    this.#parts.connection.abort(fault);
  }

  /** Whether an exchange broke off, as it does when the card leaves the field. */
  get broken(): boolean {
    return this.#parts.connection.broken;
  }

  /** Zeroes the session's keys, resets the card and releases the reader; every call waits for the same end. */
  end(): Promise<void> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #end(): Promise<void> {
    clearTimeout(this.#limit);
    this.#failure ??= new Fault('card-channel-closed', 'the card session has ended');
    this.#session?.close();
    await this.#parts.connection.disconnect();
  }
}
