import type { CancelTimer, Clock } from '#ports/clock.ts';
import type { PinEntry, PinPad, PinRequest } from '#ports/pin-pad.ts';

interface OpenRequest {
  readonly request: PinRequest;
  readonly digits: Uint8Array;
  length: number;
  readonly settle: (entry: PinEntry) => void;
}

/** A PIN pad whose keys a page or a test presses; keys pressed while no PIN is asked for go nowhere. */
export class SimulatedPinPad implements PinPad {
  readonly #clock: Clock;
  #open: OpenRequest | undefined;
  #present = true;

  constructor(parts: { clock: Clock }) {
    this.#clock = parts.clock;
  }

  async start(): Promise<void> {}

  async stop(): Promise<void> {
    this.#open?.settle({ kind: 'cancelled' });
  }

  request(request: PinRequest, signal: AbortSignal): Promise<PinEntry> {
    if (!this.#present) return Promise.resolve({ kind: 'absent' });
    if (signal.aborted) return Promise.resolve({ kind: 'cancelled' });
    this.#open?.settle({ kind: 'cancelled' });
    return new Promise((resolve) => {
      let cancelTimer: CancelTimer | undefined;
      const cancelled = (): void => settle({ kind: 'cancelled' });
      const open: OpenRequest = {
        request,
        digits: new Uint8Array(request.maximumDigits),
        length: 0,
        settle: (entry) => settle(entry),
      };
      const settle = (entry: PinEntry): void => {
        if (this.#open !== open) return;
        this.#open = undefined;
        cancelTimer?.();
        signal.removeEventListener('abort', cancelled);
        open.digits.fill(0);
        resolve(entry);
      };
      this.#open = open;
      signal.addEventListener('abort', cancelled, { once: true });
      cancelTimer = this.#clock.after(request.timeoutMs, () => settle({ kind: 'timeout' }));
    });
  }

  /** Whether a PIN is being asked for. */
  asking(): boolean {
    return this.#open !== undefined;
  }

  /** Presses one digit key; digits beyond the longest PIN are ignored. */
  press(digit: number): void {
    if (!this.#open || this.#open.length >= this.#open.request.maximumDigits) return;
    this.#open.digits[this.#open.length] = 0x30 + digit;
    this.#open.length += 1;
  }

  erase(): void {
    if (!this.#open || this.#open.length === 0) return;
    this.#open.length -= 1;
    this.#open.digits[this.#open.length] = 0;
  }

  /** Presses Enter; ignored while there are fewer digits than the shortest PIN, as on the real keypad. */
  enter(): void {
    const open = this.#open;
    if (!open || open.length < open.request.minimumDigits) return;
    open.settle({ kind: 'entered', digits: open.digits.slice(0, open.length) });
  }

  cancel(): void {
    this.#open?.settle({ kind: 'cancelled' });
  }

  /** Takes the pad away, or brings it back. */
  plug(present: boolean): void {
    this.#present = present;
    if (!present) this.#open?.settle({ kind: 'absent' });
  }
}
