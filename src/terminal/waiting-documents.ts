import type { DocumentRefusal } from '#core/sync/document.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';

/** A document as it came. */
export interface ToldDocument {
  readonly of: 'manifest' | 'revocation';
  readonly bytes: Uint8Array;
}

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
  readonly #clock: Pick<Clock, 'after'>;
  readonly #waitMs: () => number;
  readonly #ask: () => Promise<void>;
  readonly #take: (document: ToldDocument, isLast: boolean) => void;
  #waiting: ToldDocument[] = [];
  #open = false;
  #asking = false;
  #cancel: CancelTimer | undefined;

  /**
   * `waitMs`: how long until the server may be asked, which is what `ask` does and never rejects; `take` looks at a
   * document by the roots known then, for the last time or not
   */
  constructor(parts: {
    readonly clock: Pick<Clock, 'after'>;
    readonly waitMs: () => number;
    readonly ask: () => Promise<void>;
    readonly take: (document: ToldDocument, isLast: boolean) => void;
  }) {
    this.#clock = parts.clock;
    this.#waitMs = parts.waitMs;
    this.#ask = parts.ask;
    this.#take = parts.take;
  }

  /** The roots that it has are known now. */
  open(): void {
    this.#open = true;
    this.#takeAll(this.#emptied(), false);
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

  /** Where there is no room a manifest makes it that a later one follows, or else the oldest: the newest says the most. */
  add(document: ToldDocument): void {
    this.#waiting.push(document);
    if (this.#waiting.length > most) {
      const [older, later] = this.#waiting.filter((one) => one.of === 'manifest');
      const dropped = later ? older : this.#waiting[0];
      this.#waiting = this.#waiting.filter((one) => one !== dropped);
    }
    this.#askSoon();
  }

  #askSoon(): void {
    if (!this.#open || this.#asking || this.#cancel || this.#waiting.length === 0) return;
    const waitMs = this.#waitMs();
    if (waitMs === 0) {
      void this.#askNow();
      return;
    }
    this.#cancel = this.#clock.after(Math.ceil(waitMs), () => {
      this.#cancel = undefined;
      // a timer may be early by a moment
      this.#askSoon();
    });
  }

  async #askNow(): Promise<void> {
    this.#asking = true;
    const before = this.#emptied();
    await this.#ask();
    this.#asking = false;
    if (!this.#open) return;
    const meanwhile = this.#emptied();
    this.#takeAll(before, true);
    // the server may have been asked before these were signed
    this.#takeAll(meanwhile, false);
  }

  #emptied(): readonly ToldDocument[] {
    const waiting = this.#waiting;
    this.#waiting = [];
    return waiting;
  }

  #takeAll(documents: readonly ToldDocument[], isLast: boolean): void {
    for (const document of documents) this.#take(document, isLast);
  }
}
