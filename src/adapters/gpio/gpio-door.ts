import type { GpioDoorWiring } from '#core/access/door-wiring.ts';
import { type After, StrikeKeeper } from '#core/access/strike-keeper.ts';
import { Fault, isFault } from '#core/fault.ts';
import type { DoorHardware, DoorInput } from '#ports/door.ts';
import { GpioInput } from './gpio-input.ts';
import type { GpioLevel, GpioLine, GpioLines } from './gpio-lines.ts';

/** how often lines are looked at without an edge, in milliseconds: finds a missed edge and a lost chip */
const pollEveryMs = 1_000;

/** A door, or the part of one, on GPIO lines. */
export class GpioDoor implements DoorHardware {
  readonly #wiring: GpioDoorWiring;
  readonly #lines: GpioLines;
  readonly #after: After;
  readonly #keeper: StrikeKeeper;
  readonly #inputs: readonly GpioInput[];
  #strike: GpioLine | undefined;
  #onInput: ((input: DoorInput) => void) | undefined;
  #cancelPoll: (() => void) | undefined;

  constructor(parts: { wiring: GpioDoorWiring; lines: GpioLines; after: After }) {
    this.#wiring = parts.wiring;
    this.#lines = parts.lines;
    this.#after = parts.after;
    this.#keeper = new StrikeKeeper({
      set: (locked) => this.#set(locked),
      after: parts.after,
      report: (report) => this.#onInput?.(report),
    });
    this.#inputs = this.#createInputs();
  }

  async start(onInput: (input: DoorInput) => void): Promise<void> {
    this.#onInput = onInput;
    await this.#keeper.start();
    this.#pollLater();
  }

  async unlock(limitMs: number): Promise<void> {
    await this.#keeper.unlock(limitMs);
  }

  async lock(): Promise<void> {
    await this.#keeper.lock();
  }

  /**
   * The strike's line stays exported and driven: giving it back would make it an input on most chips, and a
   * fail-safe strike would then stand open.
   */
  async stop(): Promise<void> {
    this.#cancelPoll?.();
    await this.#keeper.stop();
    for (const input of this.#inputs) input.close();
    this.#onInput = undefined;
  }

  #createInputs(): readonly GpioInput[] {
    const { contact, exitRequest, tamper, obstruction, passage } = this.#wiring;
    const inputs: GpioInput[] = [];
    const add = (wiring: typeof contact, input: (active: boolean) => DoorInput): void => {
      if (!wiring) return;
      const changed = (active: boolean): void => this.#onInput?.(input(active));
      const failed = (error: unknown): void => this.#failed(error);
      inputs.push(new GpioInput({ wiring, lines: this.#lines, after: this.#after, changed, failed }));
    };
    add(contact, (open) => ({ kind: 'contact', open }));
    add(exitRequest, (pressed) => ({ kind: 'exit-request', pressed }));
    add(tamper, (active) => ({ kind: 'tamper', active }));
    add(obstruction, (active) => ({ kind: 'obstruction', active }));
    add(passage, (active) => ({ kind: 'passage', active }));
    return inputs;
  }

  /** Locking begins with the strike; unlocking only after the inputs are known to be heard. */
  async #set(locked: boolean): Promise<boolean | undefined> {
    if (!locked) this.#openInputs();
    const read = this.#setStrike(locked);
    if (locked) this.#openInputs();
    return read;
  }

  #openInputs(): void {
    for (const input of this.#inputs) input.open();
  }

  #setStrike(locked: boolean): boolean | undefined {
    if (!this.#wiring.strike) return undefined;
    const level = this.#strikeLevel(locked);
    if (!this.#writeStrike(level)) {
      // opened locked, whatever is asked for, then moved
      this.#strike = this.#lines.output(this.#wiring.strike, this.#strikeLevel(true));
      this.#strike.writeSync(level);
    }
    return this.#strike?.readSync() === this.#strikeLevel(true);
  }

  /** Writes to the line as it is; false when there is none, or none that obeys. */
  #writeStrike(level: GpioLevel): boolean {
    if (!this.#strike) return false;
    try {
      this.#strike.writeSync(level);
      return true;
    } catch {
      this.#dropStrike(this.#strike);
      return false;
    }
  }

  /** Gives back a line that no longer obeys, so that its chip may come back under another number. */
  #dropStrike(line: GpioLine): void {
    this.#strike = undefined;
    try {
      line.unexport();
    } catch {
      // the chip is gone, and the line with it
    }
  }

  /** fail-secure: energised to unlock; fail-safe: energised to lock. */
  #strikeLevel(locked: boolean): GpioLevel {
    const failSafe = this.#wiring.strike?.lockType === 'fail-safe';
    const energised = failSafe ? locked : !locked;
    return energised === (this.#wiring.strike?.active !== 'low') ? 1 : 0;
  }

  #pollLater(): void {
    this.#cancelPoll = this.#after(pollEveryMs, () => {
      try {
        if (this.#strike) this.#keeper.observe(this.#strike.readSync() === this.#strikeLevel(true));
        for (const input of this.#inputs) input.poll();
      } catch (error) {
        this.#failed(error);
      }
      this.#pollLater();
    });
  }

  #failed(error: unknown): void {
    for (const input of this.#inputs) input.close();
    this.#keeper.failed(
      isFault(error) ? error : new Fault('door-hardware-absent', 'a GPIO line is gone', { cause: error }),
    );
  }
}
