import type { UsbRelayStrike } from '#core/access/door-wiring.ts';
import { type After, StrikeKeeper } from '#core/access/strike-keeper.ts';
import { Fault, isFault } from '#core/fault.ts';
import type { DoorHardware, DoorInput } from '#ports/door.ts';
import type { UsbRelayBoard } from './usb-relay-board.ts';

/** how often the relay is read without a command, in milliseconds: finds a board unplugged or reset */
const pollEveryMs = 1_000;

/** A strike on one relay of a USB board. Such a board has no inputs: those of the door are wired elsewhere. */
export class UsbRelayDoor implements DoorHardware {
  readonly #wiring: UsbRelayStrike;
  readonly #board: UsbRelayBoard;
  readonly #after: After;
  readonly #keeper: StrikeKeeper;
  #onInput: ((input: DoorInput) => void) | undefined;
  #cancelPoll: (() => void) | undefined;
  #commands = 0;

  constructor(parts: { wiring: UsbRelayStrike; board: UsbRelayBoard; after: After }) {
    this.#wiring = parts.wiring;
    this.#board = parts.board;
    this.#after = parts.after;
    this.#keeper = new StrikeKeeper({
      set: async (locked) => {
        this.#commands += 1;
        return this.#lockedWhen(await this.#board.switch(this.#wiring.relay, this.#lockedWhen(locked)));
      },
      after: parts.after,
      report: (report) => this.#onInput?.(report),
    });
  }

  async start(onInput: (input: DoorInput) => void): Promise<void> {
    this.#onInput = onInput;
    // before the first report, by which whoever hears it may stop the door
    this.#pollLater();
    await this.#keeper.start();
  }

  async unlock(limitMs: number): Promise<void> {
    await this.#keeper.unlock(limitMs);
  }

  async lock(): Promise<void> {
    await this.#keeper.lock();
  }

  /** The relay keeps its locked state after this process is gone. */
  async stop(): Promise<void> {
    this.#cancelPoll?.();
    this.#cancelPoll = undefined;
    await this.#keeper.stop();
    this.#onInput = undefined;
  }

  /** Locked from energised and energised from locked: the same exchange, fail-secure or fail-safe. */
  #lockedWhen(value: boolean): boolean {
    return this.#wiring.lockType === 'fail-safe' ? value : !value;
  }

  #pollLater(): void {
    this.#cancelPoll = this.#after(pollEveryMs, () => void this.#poll());
  }

  async #poll(): Promise<void> {
    const commands = this.#commands;
    try {
      const locked = this.#lockedWhen(await this.#board.read(this.#wiring.relay));
      // a reading that a command overtook tells nothing
      if (commands === this.#commands) this.#keeper.observe(locked);
    } catch (error) {
      if (!isFault(error)) throw error;
      this.#keeper.failed(new Fault(error.code, error.message, { cause: error }));
    }
    if (this.#cancelPoll) this.#pollLater();
  }
}
