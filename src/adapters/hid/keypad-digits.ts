/** A key of a numeric keypad that means something while a PIN is typed. */
export type Key = { readonly digit: number } | 'enter' | 'erase' | 'cancel';

// HID Usage Tables 1.5, chapter 10 (Keyboard/Keypad Page 0x07)
const usageOne = 0x1e;
const usageZero = 0x27;
const usageKeypadOne = 0x59;
const usageKeypadZero = 0x62;
const otherKeys: ReadonlyMap<number, Key> = new Map([
  [0x28, 'enter'],
  [0x58, 'enter'],
  [0x2a, 'erase'],
  [0x29, 'cancel'],
] as const);
/** in place of keys: too many are down to tell which (ErrorRollOver) */
const rollOver = 0x01;
/** HID 1.11, appendix B.1: modifiers, a reserved byte, six keys that are down */
const bootReportBytes = 8;
const firstKeyOffset = 2;

/** Tells which keys went down from one boot keyboard report to the next. Num Lock does not matter to usages. */
export class KeypadDecoder {
  readonly #down = new Uint8Array(bootReportBytes - firstKeyOffset);

  /** Reads one report and erases it. */
  take(report: Uint8Array): readonly Key[] {
    const boot = report.length === bootReportBytes + 1 ? report.subarray(1) : report;
    const keys: Key[] = [];
    if (boot.length === bootReportBytes && boot[firstKeyOffset] !== rollOver) {
      const now = boot.subarray(firstKeyOffset);
      for (const usage of now) {
        const key = usage !== 0 && !this.#down.includes(usage) ? keyOf(usage) : undefined;
        if (key !== undefined) keys.push(key);
      }
      this.#down.set(now);
    }
    report.fill(0);
    return keys;
  }

  erase(): void {
    this.#down.fill(0);
  }
}

function keyOf(usage: number): Key | undefined {
  if (usage >= usageOne && usage < usageZero) return { digit: usage - usageOne + 1 };
  if (usage >= usageKeypadOne && usage < usageKeypadZero) return { digit: usage - usageKeypadOne + 1 };
  if (usage === usageZero || usage === usageKeypadZero) return { digit: 0 };
  return otherKeys.get(usage);
}

/** The digits typed so far, in one buffer that is erased when the entry ends. */
export class DigitBuffer {
  readonly #digits: Uint8Array;
  #length = 0;

  constructor(maximumDigits: number) {
    this.#digits = new Uint8Array(maximumDigits);
  }

  get length(): number {
    return this.#length;
  }

  /** Adds a digit (0 to 9) as ASCII; one beyond the longest PIN is ignored. */
  add(digit: number): void {
    if (this.#length === this.#digits.length) return;
    this.#digits[this.#length] = 0x30 + digit;
    this.#length += 1;
  }

  removeLast(): void {
    if (this.#length === 0) return;
    this.#length -= 1;
    this.#digits[this.#length] = 0;
  }

  /** The digits in a buffer of their own; the receiver erases it. */
  copy(): Uint8Array {
    return this.#digits.slice(0, this.#length);
  }

  erase(): void {
    this.#digits.fill(0);
    this.#length = 0;
  }
}
