import type { Link } from '#adapters/process/link.ts';
import type { CardOutcome, PinOutcome } from '#core/card/reading.ts';
import { Fault, isFault, toFaultRecord } from '#core/fault.ts';
import type { PresentedCard } from '#ports/card-reader.ts';
import type { ChildOffer } from './messages.ts';

export interface PcscCardParts {
  readonly tapId: string;
  readonly readerName: string;
  readonly presentedAtUs: number;
  readonly outcome: CardOutcome;
  /** limit of an answer of the child, in milliseconds */
  readonly answerLimitMs: number;
  /** the child that holds the session; undefined when it died with the reading */
  readonly link: Link<ChildOffer> | undefined;
  /** the child did not answer in time */
  readonly hung: () => void;
}

/** A card whose session is open in the child process. */
export class PcscCard implements PresentedCard {
  readonly tapId: string;
  readonly readerName: string;
  readonly presentedAtUs: number;
  readonly outcome: CardOutcome;
  readonly #answerLimitMs: number;
  readonly #link: Link<ChildOffer> | undefined;
  readonly #hung: () => void;
  #closed: PinOutcome | undefined;
  #ending: Promise<void> | undefined;

  constructor({ tapId, readerName, presentedAtUs, outcome, answerLimitMs, link, hung }: PcscCardParts) {
    this.tapId = tapId;
    this.readerName = readerName;
    this.presentedAtUs = presentedAtUs;
    this.outcome = outcome;
    this.#answerLimitMs = answerLimitMs;
    this.#link = link;
    this.#hung = hung;
  }

  async verifyPin(digits: Uint8Array): Promise<PinOutcome> {
    try {
      if (this.#closed) return this.#closed;
      if (!this.#link || this.outcome.kind !== 'reading') return refused(sessionEnded());
      return await this.#link.call('verifyPin', { tapId: this.tapId, digits }, this.#answerLimitMs);
    } catch (error) {
      if (!isFault(error)) throw error;
      if (!isFault(error, 'deadline-exceeded')) return refused(processLost(error));
      this.#hung();
      return { kind: 'timeout' };
    } finally {
      digits.fill(0);
    }
  }

  end(): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  /** The card has left the reader: a PIN comes too late. */
  removed(): void {
    this.#closed ??= { kind: 'removed' };
  }

  async #end(): Promise<void> {
    this.#closed ??= refused(sessionEnded());
    // the child ends by itself what has no reading
    if (!this.#link || this.outcome.kind !== 'reading') return;
    try {
      await this.#link.call('end', this.tapId, this.#answerLimitMs);
    } catch (error) {
      // a child that died has let go of the card, which pcscd then resets; one that hangs is ended
      if (isFault(error, 'deadline-exceeded')) this.#hung();
      else if (!isFault(error)) throw error;
    }
  }
}

export function processLost(cause: Fault): Fault {
  return new Fault('reader-process-lost', 'the process that speaks to the readers ended', { cause });
}

function sessionEnded(): Fault {
  return new Fault('card-channel-closed', 'the card session has ended');
}

function refused(fault: Fault): PinOutcome {
  return { kind: 'refused', fault: toFaultRecord(fault) };
}
