import { type After, StrikeKeeper } from '#core/access/strike-keeper.ts';
import { Fault } from '#core/fault.ts';
import type { DoorHardware, DoorInput } from '#ports/door.ts';
import type { DoorWires } from './simulated-door.ts';

/** The way to a simulated door: itself, in the same process, or a socket to the process it lives in. */
export interface DoorLine {
  /** Drives the relay, resolves with what it reads back, rejects with a door fault. */
  set(locked: boolean, cause?: string): Promise<boolean>;
  /** Calls `watcher` with the wires now and after each change; `present: false` when the line is gone. */
  watch(watcher: (wires: DoorWires) => void): () => void;
}

/** Door hardware at the end of a line to a simulated door. */
export class SimulatedDoorHardware implements DoorHardware {
  readonly #line: DoorLine;
  readonly #keeper: StrikeKeeper;
  #onInput: ((input: DoorInput) => void) | undefined;
  #known: Partial<DoorWires> = {};
  #unwatch: (() => void) | undefined;

  constructor(parts: { line: DoorLine; after: After }) {
    this.#line = parts.line;
    this.#keeper = new StrikeKeeper({
      set: (locked, cause) => this.#line.set(locked, cause),
      after: parts.after,
      report: (report) => this.#onInput?.(report),
    });
  }

  async start(onInput: (input: DoorInput) => void): Promise<void> {
    this.#onInput = onInput;
    this.#known = {};
    await this.#keeper.start();
    this.#unwatch = this.#line.watch((wires) => this.#observe(wires));
  }

  async unlock(limitMs: number, cause?: string): Promise<void> {
    await this.#keeper.unlock(limitMs, cause);
  }

  async lock(): Promise<void> {
    await this.#keeper.lock();
  }

  async stop(): Promise<void> {
    this.#unwatch?.();
    this.#unwatch = undefined;
    await this.#keeper.stop();
    this.#onInput = undefined;
  }

  #observe(wires: DoorWires): void {
    if (!wires.present) {
      this.#known = {};
      this.#keeper.failed(new Fault('door-hardware-absent', 'the line to the door is cut'));
      return;
    }
    const known = this.#known;
    this.#known = wires;
    if (wires.open !== known.open) this.#onInput?.({ kind: 'contact', open: wires.open });
    if (wires.exitPressed !== known.exitPressed) {
      this.#onInput?.({ kind: 'exit-request', pressed: wires.exitPressed });
    }
    if (wires.tampered !== known.tampered) this.#onInput?.({ kind: 'tamper', active: wires.tampered });
    if (wires.obstructed !== known.obstructed) {
      this.#onInput?.({ kind: 'obstruction', active: wires.obstructed });
    }
    if (wires.passing !== known.passing) this.#onInput?.({ kind: 'passage', active: wires.passing });
  }
}
