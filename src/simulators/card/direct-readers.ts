import { toHex } from '#core/bytes/bytes.ts';
import type { CardProfile } from '#core/card/profile.ts';
import { Fault } from '#core/fault.ts';
import type { CardReaderEvents, CardReaders, ReaderStatus } from '#ports/card-reader.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { KeyDerivation } from '#ports/key-derivation.ts';
import { type CardFace, DirectCard } from './direct-card.ts';

export interface DirectReader {
  readonly readerName: string;
  /** ids of card profiles, in order of preference */
  readonly profileIds: readonly string[];
}

export interface DirectReadersOptions {
  readonly readers: readonly DirectReader[];
  readonly profiles: readonly CardProfile[];
  readonly keys: KeyDerivation;
  readonly entropy: Entropy;
  readonly clock: Clock;
  /** limit of one exchange with a card, in milliseconds (default 1,000) */
  readonly apduDeadlineMs?: number;
  /** limit of a whole reading, in milliseconds (default 3,000) */
  readonly tapDeadlineMs?: number;
  /** how long a session stays open for a PIN, in milliseconds (default 60,000) */
  readonly sessionDeadlineMs?: number;
}

/**
 * Readers that are not there: a virtual card is joined to the session code of the terminal without PC/SC, for
 * machines that have no pcscd and for tests that need none.
 */
export class DirectReaders implements CardReaders {
  readonly #options: DirectReadersOptions;
  readonly #inserted = new Map<string, { readonly card: CardFace; readonly tap: DirectCard }>();
  #events: CardReaderEvents | undefined;

  constructor(options: DirectReadersOptions) {
    this.#options = options;
  }

  /** Starts with every reader empty and ready. Throws a Fault `config-invalid` for an unknown profile id. */
  async start(events: CardReaderEvents): Promise<void> {
    for (const { readerName } of this.#options.readers) this.#profilesOf(readerName);
    this.#events = events;
    for (const status of this.list()) events.readerChanged(status);
  }

  async stop(): Promise<void> {
    for (const readerName of [...this.#inserted.keys()]) this.remove(readerName);
    this.#events = undefined;
  }

  list(): readonly ReaderStatus[] {
    return this.#options.readers.map(({ readerName }) => ({
      name: readerName,
      state: 'ready',
      virtual: true,
    }));
  }

  /** Puts a card into the field of a reader, after removing the one that was there, and reads it. */
  insert(readerName: string, card: CardFace): void {
    if (!this.#events) throw new Fault('reader-absent', 'the readers have not been started');
    this.remove(readerName);
    const { entropy, clock, keys, apduDeadlineMs, tapDeadlineMs, sessionDeadlineMs } = this.#options;
    const tap = new DirectCard({
      tapId: toHex(entropy.bytes(16)).toLowerCase(),
      readerName,
      card,
      profiles: this.#profilesOf(readerName),
      keys,
      claimed: (claim) => this.#events?.cardClaimed(readerName, claim),
      entropy,
      clock,
      apduDeadlineMs: apduDeadlineMs ?? 1_000,
      tapDeadlineMs: tapDeadlineMs ?? 3_000,
      sessionDeadlineMs: sessionDeadlineMs ?? 60_000,
    });
    this.#inserted.set(readerName, { card, tap });
    card.onRemoved = () => this.remove(readerName);
    card.powerOn();
    this.#events.cardDetected(readerName);
    void tap.read().then((presented) => this.#events?.cardPresented(presented));
  }

  /** Takes the card out of the field of a reader; nothing happens where there is none. */
  remove(readerName: string): void {
    const inserted = this.#inserted.get(readerName);
    if (!inserted) return;
    this.#inserted.delete(readerName);
    inserted.card.onRemoved = undefined;
    inserted.card.powerOff();
    const events = this.#events;
    // a reading that this broke off is told before the removal
    void inserted.tap.removed().then(() => events?.cardRemoved(readerName));
  }

  #profilesOf(readerName: string): readonly CardProfile[] {
    const reader = this.#options.readers.find((known) => known.readerName === readerName);
    if (!reader) throw new Fault('reader-absent', `there is no reader named "${readerName}"`);
    return reader.profileIds.map((id) => {
      const profile = this.#options.profiles.find((known) => known.id === id);
      if (!profile) throw new Fault('config-invalid', `reader "${readerName}": no card profile "${id}"`);
      return profile;
    });
  }
}
