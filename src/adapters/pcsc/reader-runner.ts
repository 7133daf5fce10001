import { toHex } from '#core/bytes/bytes.ts';
import type { CardKeyRequest, CardKeys } from '#core/card/keys.ts';
import type { PinOutcome } from '#core/card/reading.ts';
import { Fault, type FaultRecord, toFaultRecord } from '#core/fault.ts';
import { CardConnection, StatusWatch } from './binding.ts';
import { type CardPresence, insertionCount, nextPresence, readerLost } from './card-presence.ts';
import { CardTap } from './card-tap.ts';
import type { ConfiguredReader, ParentOffer, ReaderConfiguration } from './messages.ts';
import { RandomPool } from './random-pool.ts';
import { TimedConnection } from './timed-connection.ts';

export interface ReaderRunnerParts {
  readonly reader: ConfiguredReader;
  readonly configuration: ReaderConfiguration;
  readonly notify: Notify;
  readonly cardKeys: (request: CardKeyRequest) => Promise<CardKeys>;
  readonly monotonicUs: () => number;
  /** pcscd has failed; the whole process starts again */
  readonly serviceFailed: (error: Error) => void;
}

export type Notify = <M extends keyof ParentOffer & string>(
  notice: M,
  argument: Parameters<ParentOffer[M]>[0],
) => void;

/** How long pcscd is given to see a card leave before one that broke off counts as being back: its poll, and some. */
const settleMs = 500;
/** how long an exchange that was given up may go on before the reader counts as faulty */
const letGoMs = 500;
/** how often a card that breaks off without leaving is read again */
const maximumRetries = 3;

interface Insertion {
  readonly tapId: string;
  readonly count: number;
  readonly atUs: number;
}

/** One reader: watches it, and gives each card held up one session, one after the other. */
export class ReaderRunner {
  readonly #parts: ReaderRunnerParts;
  #presence: CardPresence;
  #watch: StatusWatch | undefined;
  /** a watch that has not reported yet and will replace `#watch` */
  #fresh: StatusWatch | undefined;
  #connection: CardConnection | undefined;
  /** the latest tap, kept after its end to say why a PIN comes too late */
  #tap: CardTap | undefined;
  /** settles when the outcome of the latest tap has been told */
  #reading: Promise<void> | undefined;
  /** settles when the latest tap has released the reader; undefined while it has not begun to */
  #releasing: Promise<void> | undefined;
  #occupied = false;
  /** a card that came while the one before still had to release the reader */
  #waiting: Insertion | undefined;
  /** how often the card in the reader has been read again */
  #retries = 0;
  readonly #random = new RandomPool();
  /** the card for whose next reading the reader is being reset */
  #retrying: CardPresence | undefined;

  constructor(parts: ReaderRunnerParts) {
    this.#parts = parts;
    const count = parts.reader.presentedCount;
    this.#presence = count === undefined ? { kind: 'unknown' } : { kind: 'present', count };
  }

  /** Starts watching the reader, unless it is being watched. */
  start(): void {
    if (!this.#watch && !this.#fresh) this.#renewWatch();
  }

  /**
   * Asks pcscd anew instead of trusting that every change was told; a reader in use is left alone. Returns false
   * when pcscd still owes the answer to the question before.
   */
  reconcile(): boolean {
    if (this.#fresh) return false;
    if (this.#watch && !this.#occupied) this.#renewWatch();
    return true;
  }

  /** Verifies a PIN on the tap of this id; undefined when it is not this reader's latest. Zeroes `digits`. */
  verifyPin(tapId: string, digits: Uint8Array): Promise<PinOutcome> | undefined {
    return this.#tap?.tapId === tapId ? this.#tap.verifyPin(digits) : undefined;
  }

  /** Ends the tap of this id if it is still open; resolves when the card has been reset and the reader released. */
  async end(tapId: string): Promise<void> {
    if (this.#tap?.tapId === tapId) await this.#release(this.#tap);
  }

  /** Breaks the tap off; resolves when its outcome has been told. */
  async abort(fault: Fault): Promise<void> {
    this.#tap?.abort(fault);
    await this.#reading;
  }

  #renewWatch(): void {
    const fresh = new StatusWatch(
      this.#parts.reader.name,
      (state) => {
        if (this.#fresh === fresh) {
          this.#watch?.close();
          this.#watch = fresh;
          this.#fresh = undefined;
        }
        this.#observe(state);
      },
      (error) => {
        if (error) this.#parts.serviceFailed(error);
        if (this.#fresh === fresh) this.#fresh = undefined;
        if (this.#watch === fresh) this.#watch = undefined;
        this.#readerLost();
      },
    );
    this.#fresh = fresh;
  }

  #observe(state: number): void {
    const atUs = this.#parts.monotonicUs();
    if (readerLost(state)) {
      this.#readerLost();
      return;
    }
    const { presence, changes, doubtful } = nextPresence(this.#presence, state);
    this.#presence = presence;
    if (changes.length > 0) this.#retries = 0;
    for (const change of changes) {
      if (change === 'removed') this.#removed(new Fault('card-removed', 'the card has left the reader'));
      else this.#inserted({ tapId: this.#newTapId(), count: insertionCount(state), atUs });
    }
    if (doubtful) this.#whenSettled(() => this.#resetReader());
    if (this.#retrying) this.#resumeRetry(atUs);
  }

  /** Runs `action` after the settling time, if the card in the reader is still the same and not being read. */
  #whenSettled(action: () => void): void {
    const presence = this.#presence;
    setTimeout(() => {
      if (this.#presence === presence && !this.#occupied) action();
    }, settleMs);
  }

  /** Resets the reader, whatever is in it: pcscd then looks, and a fresh watch tells what it saw. */
  #resetReader(): void {
    const connection = new CardConnection(this.#parts.reader.name);
    connection.connectReader((error) => {
      if (error) return connection.free();
      connection.disconnect('reset', () => {
        connection.free();
        if (!this.#fresh) this.#renewWatch();
      });
    });
  }

  /** Reads a card again that broke off but never left the field, as one at its edge does. */
  #retry(): void {
    this.#retries += 1;
    this.#retrying = this.#presence;
    // whatever it is that is there now has to be powered anew
    this.#resetReader();
  }

  /** The reader has been reset for a retry and its card is still there: to the holder, it has come back. */
  #resumeRetry(atUs: number): void {
    const retrying = this.#retrying;
    this.#retrying = undefined;
    if (retrying?.kind !== 'present' || this.#presence !== retrying || this.#occupied) return;
    this.#removed(new Fault('card-removed', 'the card has broken off'));
    this.#inserted({ tapId: this.#newTapId(), count: retrying.count, atUs });
  }

  #readerLost(): void {
    if (this.#presence.kind === 'present') this.#removed(new Fault('reader-absent', 'the reader is gone'));
    this.#presence = { kind: 'unknown' };
  }

  #inserted(insertion: Insertion): void {
    if (this.#occupied) this.#waiting = insertion;
    else this.#begin(insertion);
  }

  #removed(fault: Fault): void {
    const { notify, reader } = this.#parts;
    if (this.#waiting) {
      this.#tellBegun(this.#waiting);
      notify('tapRead', { tapId: this.#waiting.tapId, outcome: { kind: 'removed' } });
      this.#waiting = undefined;
    } else if (this.#tap && this.#occupied) {
      this.#tap.abort(fault);
      void this.#release(this.#tap);
    }
    // the outcome of the reading that this broke off is told first
    if (this.#reading) void this.#reading.then(() => notify('removed', reader.name));
    else notify('removed', reader.name);
  }

  #begin(insertion: Insertion): void {
    const { reader, configuration, notify, cardKeys, monotonicUs } = this.#parts;
    this.#occupied = true;
    this.#releasing = undefined;
    this.#connection ??= new CardConnection(reader.name);
    const tap = new CardTap({
      tapId: insertion.tapId,
      connection: new TimedConnection(this.#connection, configuration.apduDeadlineMs),
      profiles: reader.profiles,
      tapDeadlineMs: configuration.tapDeadlineMs,
      sessionDeadlineMs: configuration.sessionDeadlineMs,
      cardKeys,
      claimed: (claim) => notify('tapClaimed', { tapId: insertion.tapId, claim }),
      randomBytes: this.#random.bytes,
      monotonicUs,
      presentedAtUs: insertion.atUs,
      begun: () => this.#tellBegun(insertion),
    });
    this.#tap = tap;
    this.#reading = this.#read(tap);
  }

  async #read(tap: CardTap): Promise<void> {
    const outcome = await tap.read();
    this.#parts.notify('tapRead', { tapId: tap.tapId, outcome });
    this.#reading = undefined;
    if (outcome.kind === 'reading') tap.keepOpen(() => void this.#release(tap));
    else void this.#release(tap);
  }

  #tellBegun({ tapId, count, atUs }: Insertion): void {
    const readerName = this.#parts.reader.name;
    this.#parts.notify('tapBegun', { tapId, readerName, presentedAtUs: atUs, count });
  }

  #release(tap: CardTap): Promise<void> {
    this.#releasing ??= this.#releaseOnce(tap);
    return this.#releasing;
  }

  async #releaseOnce(tap: CardTap): Promise<void> {
    await this.#reading;
    await this.#letGo(tap);
    this.#random.refill();
    this.#occupied = false;
    const next = this.#waiting;
    this.#waiting = undefined;
    if (next) this.#begin(next);
    else if (this.#presence.kind === 'present') this.#afterRelease(tap);
  }

  /** Waits until the reader has let the card go, and reports one that takes too long as faulty meanwhile. */
  async #letGo(tap: CardTap): Promise<void> {
    let stuck = false;
    const patience = setTimeout(() => {
      stuck = true;
      this.#report(new Fault('reader-failed', 'an exchange with the card does not come to an end'));
    }, letGoMs);
    await tap.end();
    clearTimeout(patience);
    if (stuck) this.#report();
  }

  #afterRelease(tap: CardTap): void {
    if (tap.broken && this.#retries < maximumRetries) this.#whenSettled(() => this.#retry());
    // the reset failed if the card left just before it, and pcscd does not tell
    else if (!tap.broken && !this.#fresh) this.#renewWatch();
  }

  #report(fault?: Fault): void {
    const record: { fault?: FaultRecord } = fault ? { fault: toFaultRecord(fault) } : {};
    this.#parts.notify('readerState', { name: this.#parts.reader.name, ...record });
  }

  /** 32 hexadecimal digits */
  #newTapId(): string {
    return toHex(this.#random.bytes(16)).toLowerCase();
  }
}
