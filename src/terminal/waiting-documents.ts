import type { DocumentRefusal } from '#core/sync/document.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';

/** A document as it came. */
export interface ToldDocument {
  readonly of: 'manifest' | 'revocation';
  readonly bytes: Uint8Array;
}

/** who sends forged documents must not have the server asked at every one */
const askEveryUs = 60_000_000;
const most = 16;

/** Whether what is refused for this may be believed by a later root of trust. */
export function mayBeOfLaterRoot(reason: DocumentRefusal): boolean {
  return reason === 'signatures-insufficient' || reason === 'root-unknown';
}

/**
 * Documents that wait until this terminal knows whom to believe: for the roots of trust that it has, and then for those
 * that there are by now. What the newest keys have signed is not lost to a terminal that does not know them yet, and
 * nothing else waits for it.
 */
export class WaitingDocuments {
  readonly #clock: Clock;
  readonly #ask: () => Promise<void>;
  readonly #take: (document: ToldDocument) => void;
  #waiting: ToldDocument[] = [];
  #open = false;
  #askedUs: number | undefined;
  #asking = false;
  #cancel: CancelTimer | undefined;

  /** `ask` never rejects; `take` looks at a document by the roots known then */
  constructor(parts: {
    readonly clock: Clock;
    readonly ask: () => Promise<void>;
    readonly take: (document: ToldDocument) => void;
  }) {
    this.#clock = parts.clock;
    this.#ask = parts.ask;
    this.#take = parts.take;
  }

  /** The roots that it has are known now. */
  open(): void {
    this.#open = true;
    this.#takeAll(this.#emptied());
  }

  close(): void {
    this.#open = false;
    this.#waiting = [];
    this.#cancel?.();
    this.#cancel = undefined;
  }

  isOpen(): boolean {
    return this.#open;
  }

  /** Whether there was room for it. */
  add(document: ToldDocument): boolean {
    if (this.#waiting.length >= most) return false;
    this.#waiting.push(document);
    this.#askSoon();
    return true;
  }

  #askSoon(): void {
    if (!this.#open || this.#asking || this.#cancel || this.#waiting.length === 0) return;
    const passedUs = this.#askedUs === undefined ? askEveryUs : this.#clock.monotonicUs() - this.#askedUs;
    if (passedUs >= askEveryUs) void this.#askNow();
    else this.#cancel = this.#clock.after((askEveryUs - passedUs) / 1_000, () => void this.#askNow());
  }

  async #askNow(): Promise<void> {
    this.#cancel = undefined;
    this.#asking = true;
    this.#askedUs = this.#clock.monotonicUs();
    const waiting = this.#emptied();
    await this.#ask();
    this.#asking = false;
    if (!this.#open) return;
    this.#takeAll(waiting);
    this.#askSoon();
  }

  #emptied(): readonly ToldDocument[] {
    const waiting = this.#waiting;
    this.#waiting = [];
    return waiting;
  }

  #takeAll(documents: readonly ToldDocument[]): void {
    for (const document of documents) this.#take(document);
  }
}
