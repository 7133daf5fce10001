import type { GpioDoorWiring } from '#core/access/door-wiring.ts';
import { type After, StrikeKeeper, type StrikeReport } from '#core/access/strike-keeper.ts';
import { Fault, type FaultCode, type FaultRecord, isFault, toFaultRecord } from '#core/fault.ts';
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
  /** inputs that cannot be read; each is opened again by itself, and no strike waits for it */
  readonly #lost = new Set<GpioInput>();
  #inputsFaulty = false;
  #strikeFaulty = false;
  /** the fault told last, until both are well again */
  #told: FaultCode | undefined;
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
      report: (report) => this.#strikeReported(report),
    });
    this.#inputs = this.#createInputs();
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
      const failed = (error: unknown): void => this.#inputLost(made, error);
      const made = new GpioInput({ wiring, lines: this.#lines, after: this.#after, changed, failed });
      inputs.push(made);
    };
    // whoever wants to get out is heard first
    add(exitRequest, (pressed) => ({ kind: 'exit-request', pressed }));
    add(contact, (open) => ({ kind: 'contact', open }));
    add(tamper, (active) => ({ kind: 'tamper', active }));
    add(obstruction, (active) => ({ kind: 'obstruction', active }));
    add(passage, (active) => ({ kind: 'passage', active }));
    return inputs;
  }

  /** The strike moves whatever becomes of the inputs. */
  async #set(locked: boolean): Promise<boolean | undefined> {
    try {
      return this.#setStrike(locked);
    } finally {
      this.#tryInputs();
    }
  }

  /** Opens the inputs that are not open, and looks at each; one that fails hinders no other. */
  #tryInputs(): void {
    for (const input of this.#inputs) {
      try {
        input.open();
        input.poll();
        this.#lost.delete(input);
      } catch (error) {
        this.#inputLost(input, error);
      }
    }
    if (!this.#inputsFaulty || this.#lost.size > 0) return;
    this.#inputsFaulty = false;
    if (this.#strikeFaulty) return;
    this.#told = undefined;
    this.#onInput?.({ kind: 'recovered', strikeKept: true });
  }

  #inputLost(input: GpioInput, error: unknown): void {
    input.close();
    this.#lost.add(input);
    this.#inputsFaulty = true;
    this.#tellFault(toFaultRecord(absent(error)));
  }

  /** The door is well again once strike and inputs are. */
  #strikeReported(report: StrikeReport): void {
    if (report.kind === 'fault') {
      this.#strikeFaulty = true;
      this.#tellFault(report.fault);
      return;
    }
    if (report.kind === 'recovered') {
      this.#strikeFaulty = false;
      if (this.#inputsFaulty) return;
      this.#told = undefined;
    }
    this.#onInput?.(report);
  }

  #tellFault(fault: FaultRecord): void {
    if (this.#told === fault.code) return;
    this.#told = fault.code;
    this.#onInput?.({ kind: 'fault', fault });
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
      } catch (error) {
        this.#keeper.failed(absent(error));
      }
      this.#tryInputs();
      this.#pollLater();
    });
  }
}

function absent(error: unknown): Fault {
  return isFault(error) ? error : new Fault('door-hardware-absent', 'a GPIO line is gone', { cause: error });
}
