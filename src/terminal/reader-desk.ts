import type { CardClaim } from '#core/card/reading.ts';
import { asksToHoldAgain } from '#core/texts/decisions.ts';
import type { PresentedCard } from '#ports/card-reader.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';
import type { Indication, Indicator } from '#ports/indicator.ts';
import { runTap, type TapParts, type TapResult } from './tap.ts';
import { type EarlyLookUp, lookUpEarly } from './tap-decision.ts';

/** a card that is read faster needs no sign that it is being read, and the lamp's way costs time while it is */
const readingShownAfterMs = 50;
/** how long the end of a tap stays shown; `granted` is the door's to show and to end */
const shownForMs = 3_000;

export interface ReaderDeskParts extends Omit<TapParts, 'indicator'> {
  readonly indicator: Indicator | undefined;
  readonly clock: Clock;
  /** what to show when nothing goes on at this reader */
  readonly resting: () => Indication;
  readonly indicated: (indication: Indication) => void;
  readonly ended: (card: PresentedCard, result: TapResult) => void;
}

/** One reader: its taps, one after the other, and what it shows the person in front of it. */
export class ReaderDesk {
  readonly #parts: ReaderDeskParts;
  #current: { readonly card: PresentedCard; readonly removed: AbortController } | undefined;
  #running: Promise<void> = Promise.resolve();
  #early: EarlyLookUp | undefined;
  #cancelShown: CancelTimer | undefined;
  /** from a tap's beginning until its outcome is known, what the door says is not for the person at the reader */
  #answering = false;
  /** from a card's coming until what comes of it is known, or it has left */
  #occupied = false;

  constructor(parts: ReaderDeskParts) {
    this.#parts = parts;
  }

  /** A card is being read: whoever holds it sees that it is not for nothing. */
  detected(): void {
    // a clock not trusted yet looks around on the disk, and then knows for a while: not when the decision waits
    this.#parts.clock.trusted();
    this.#occupied = true;
    if (this.#answering) return;
    this.#cancelShown?.();
    this.#cancelShown = this.#parts.clock.after(readingShownAfterMs, () => {
      this.#cancelShown = undefined;
      this.#show('reading');
    });
  }

  /** A card has said who it is: what the decision will need is looked up while the card proves it. */
  claimed(claim: CardClaim): void {
    this.#early = lookUpEarly(this.#parts, claim);
  }

  /** Takes a card whose reading has ended. A tap still going on is of a card that has left: it ends first. */
  present(card: PresentedCard): Promise<void> {
    this.#current?.removed.abort();
    const removed = new AbortController();
    this.#current = { card, removed };
    const early = this.#early;
    this.#early = undefined;
    this.#running = this.#running.then(() => this.#run(card, removed.signal, early));
    return this.#running;
  }

  /** The card has left the reader: a PIN that is being asked for is not wanted any more. */
  cardRemoved(): void {
    this.#occupied = this.#answering;
    this.#current?.removed.abort();
  }

  /** Shows what the door says, unless a tap is being answered. */
  rest(): void {
    if (!this.#answering && !this.#cancelShown) this.#show(this.#parts.resting());
  }

  /** Draws eyes to this reader for `forMs`; a card ends that. */
  identify(forMs: number): boolean {
    if (this.#answering) return false;
    this.#showFor('identify', forMs);
    return true;
  }

  /** Whether somebody stands here and waits. */
  occupied(): boolean {
    return this.#occupied;
  }

  async stop(): Promise<void> {
    this.#current?.removed.abort();
    await this.#running;
    this.#cancelShown?.();
  }

  async #run(card: PresentedCard, removed: AbortSignal, early: EarlyLookUp | undefined): Promise<void> {
    this.#cancelShown?.();
    this.#cancelShown = undefined;
    this.#answering = true;
    this.#occupied = true;
    const indicator: Indicator = { show: (indication) => this.#show(indication) };
    const open: TapParts['open'] = (tapId, decision) => {
      this.#answering = false;
      return this.#parts.open(tapId, decision);
    };
    const result = await runTap({ ...this.#parts, indicator, open }, card, removed, early);
    this.#answering = false;
    this.#showEnd(result);
    this.#parts.ended(card, result);
    this.#occupied = false;
    await card.end();
  }

  #showEnd(result: TapResult): void {
    const sign = signOf(result);
    // a card that came while the strike was driven has its own sign pending: this one comes first
    if (sign) this.#showFor(sign, shownForMs);
  }

  #showFor(indication: Indication, forMs: number): void {
    this.#show(indication);
    this.#cancelShown?.();
    this.#cancelShown = this.#parts.clock.after(forMs, () => {
      this.#cancelShown = undefined;
      this.rest();
    });
  }

  #show(indication: Indication): void {
    this.#parts.indicator?.show(indication);
    this.#parts.indicated(indication);
  }
}

/** What the end of a tap is shown as; undefined for one that opened, which is the door's to show. */
function signOf(result: TapResult): Indication | undefined {
  if (result.kind === 'hold-again') return 'hold-again';
  const { decision, fault } = result;
  if (decision.kind === 'waits') return 'next-person';
  if (decision.kind !== 'denied') return fault && 'fault';
  if (decision.reason === 'fault' || decision.reason === 'policy-absent') return 'fault';
  return asksToHoldAgain(decision.reason) ? 'hold-again' : 'denied';
}
