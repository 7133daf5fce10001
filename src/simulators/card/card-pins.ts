import type { Command } from '#core/apdu/command.ts';
import { statusWords } from '#core/apdu/response.ts';
import { equalConstantTime } from '#core/bytes/bytes.ts';
import { digitsOfPinBlock, pinBlock } from '#core/card/pin-block.ts';
import { type CardAnswer, statusAnswer } from './card-answer.ts';
import type { PinState } from './card-state.ts';

const blockOf = ({ format, digits }: PinState): Uint8Array =>
  pinBlock(format, new TextEncoder().encode(digits));
const pinPattern = /^[0-9]{4,12}$/;

/** The PINs of an application: counters persist, what was verified is forgotten with the selection. */
export class CardPins {
  readonly #pins: readonly PinState[];
  readonly #changed: () => void;
  readonly #verified = new Set<number>();

  constructor(pins: readonly PinState[], changed: () => void) {
    this.#pins = pins;
    this.#changed = changed;
  }

  get anyVerified(): boolean {
    return this.#verified.size > 0;
  }

  forget(): void {
    this.#verified.clear();
  }

  /** VERIFY. Without data it tells the tries left and costs none. */
  verify({ p1, p2, data }: Command, encrypted: boolean): CardAnswer {
    const pin = this.#pins.find((known) => known.reference === p2);
    if (p1 !== 0) return statusAnswer(statusWords.wrongParameters);
    if (!pin) return statusAnswer(statusWords.referenceNotFound);
    if (!data) {
      return statusAnswer(this.#verified.has(p2) ? statusWords.success : 0x63c0 | pin.triesLeft);
    }
    return this.#try(pin, data, encrypted);
  }

  /** CHANGE REFERENCE DATA with the old PIN and the new one behind it. */
  change({ p1, p2, data }: Command, encrypted: boolean): CardAnswer {
    const pin = this.#pins.find((known) => known.reference === p2);
    if (p1 !== 0) return statusAnswer(statusWords.wrongParameters);
    if (!pin) return statusAnswer(statusWords.referenceNotFound);
    const { length } = blockOf(pin);
    if (!data || data.length <= length) return statusAnswer(statusWords.wrongLength);
    const entered = digitsOfPinBlock(pin.format, data.subarray(length));
    const fresh = new TextDecoder('latin1').decode(entered);
    if (!pinPattern.test(fresh)) return statusAnswer(statusWords.wrongData);
    const answer = this.#try(pin, data.subarray(0, length), encrypted);
    if (answer.status === statusWords.success) {
      pin.digits = fresh;
      this.#changed();
    }
    return answer;
  }

  #try(pin: PinState, block: Uint8Array, encrypted: boolean): CardAnswer {
    if (!encrypted) return statusAnswer(statusWords.securityNotSatisfied);
    if (pin.triesLeft === 0) return statusAnswer(statusWords.pinBlocked);
    // counted before it is compared, so that a torn card has spent the try
    pin.triesLeft -= 1;
    this.#verified.delete(pin.reference);
    this.#changed();
    if (!equalConstantTime(blockOf(pin), block)) return statusAnswer(0x63c0 | pin.triesLeft);
    pin.triesLeft = pin.tries;
    this.#verified.add(pin.reference);
    this.#changed();
    return statusAnswer(statusWords.success);
  }
}
