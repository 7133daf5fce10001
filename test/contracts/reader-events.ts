import type { CardClaim } from '#core/card/reading.ts';
import type { CardReaderEvents, PresentedCard, ReaderStatus } from '#ports/card-reader.ts';

export type ReaderEvent =
  | { readonly kind: 'changed'; readonly status: ReaderStatus }
  | { readonly kind: 'presented'; readonly card: PresentedCard }
  | { readonly kind: 'removed'; readonly readerName: string };

/** Collects what card readers tell, and lets a test wait for what it expects to come next. */
export class ReaderEvents implements CardReaderEvents {
  /** everything so far, in order */
  readonly all: ReaderEvent[] = [];
  /** what the latest card with a diversifier said of itself, by reader */
  readonly claims = new Map<string, CardClaim>();
  readonly #detected: string[] = [];
  #taken = 0;
  readonly #waiting = new Set<() => void>();

  readerChanged(status: ReaderStatus): void {
    this.#add({ kind: 'changed', status });
  }

  cardDetected(readerName: string): void {
    this.#detected.push(readerName);
  }

  cardClaimed(readerName: string, claim: CardClaim): void {
    if (!this.#detected.includes(readerName)) throw new Error(`${readerName} has no card to claim anything`);
    this.claims.set(readerName, claim);
  }

  /** A card that is presented was told of before, once. */
  cardPresented(card: PresentedCard): void {
    const told = this.#detected.indexOf(card.readerName);
    if (told < 0) throw new Error(`${card.readerName} presented a card it had not detected`);
    this.#detected.splice(told, 1);
    this.#add({ kind: 'presented', card });
  }

  cardRemoved(readerName: string): void {
    this.#add({ kind: 'removed', readerName });
  }

  /** The next card event, skipping changes of readers. */
  async nextCard(): Promise<Exclude<ReaderEvent, { kind: 'changed' }>> {
    for (;;) {
      const event = await this.#next();
      if (event.kind !== 'changed') return event;
    }
  }

  /** The next card event, which must be a presented card. */
  async presented(): Promise<PresentedCard> {
    const event = await this.nextCard();
    if (event.kind !== 'presented') throw new Error(`expected a card, but ${event.readerName} lost one`);
    return event.card;
  }

  /** The next card event, which must be a removal; its reader. */
  async removed(): Promise<string> {
    const event = await this.nextCard();
    if (event.kind !== 'removed')
      throw new Error(`expected a removal, but ${event.card.readerName} has a card`);
    return event.readerName;
  }

  /** Waits until a reader's latest status fits; card events in between stay to be taken. */
  async status(readerName: string, fits: (status: ReaderStatus) => boolean): Promise<ReaderStatus> {
    for (;;) {
      const latest = this.all.findLast(
        (event) => event.kind === 'changed' && event.status.name === readerName,
      );
      if (latest?.kind === 'changed' && fits(latest.status)) return latest.status;
      await this.#more();
    }
  }

  /** Waits until a status that comes after this call fits. */
  async statusAfter(from: number, readerName: string, state: ReaderStatus['state']): Promise<ReaderStatus> {
    for (;;) {
      for (const event of this.all.slice(from)) {
        if (event.kind === 'changed' && event.status.name === readerName && event.status.state === state) {
          return event.status;
        }
      }
      await this.#more();
    }
  }

  /** The readers that were told to be faulty so far, in order. */
  faulty(): string[] {
    return this.all.flatMap((event) =>
      event.kind === 'changed' && event.status.state === 'faulty' ? [event.status.name] : [],
    );
  }

  /** Drops what has been taken, so that a long run does not grow by what it was told. */
  forget(): void {
    this.all.splice(0, this.#taken);
    this.#taken = 0;
  }

  async #next(): Promise<ReaderEvent> {
    for (;;) {
      const event = this.all[this.#taken];
      if (event) {
        this.#taken += 1;
        return event;
      }
      await this.#more();
    }
  }

  #more(): Promise<void> {
    return new Promise((resolve) => this.#waiting.add(resolve));
  }

  #add(event: ReaderEvent): void {
    this.all.push(event);
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }
}
