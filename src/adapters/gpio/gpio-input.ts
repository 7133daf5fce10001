import type { InputLine } from '#core/access/door-wiring.ts';
import type { After } from '#core/access/strike-keeper.ts';
import type { GpioLine, GpioLines } from './gpio-lines.ts';

/** One debounced input: a level counts once it has lasted `debounceMs`, whether opening, an edge or a poll showed it. */
export class GpioInput {
  readonly #wiring: InputLine;
  readonly #lines: GpioLines;
  readonly #after: After;
  readonly #changed: (active: boolean) => void;
  readonly #failed: (error: unknown) => void;
  #line: GpioLine | undefined;
  #known: boolean | undefined;
  #cancelDebounce: (() => void) | undefined;

  constructor(parts: {
    wiring: InputLine;
    lines: GpioLines;
    after: After;
    changed: (active: boolean) => void;
    failed: (error: unknown) => void;
  }) {
    this.#wiring = parts.wiring;
    this.#lines = parts.lines;
    this.#after = parts.after;
    this.#changed = parts.changed;
    this.#failed = parts.failed;
  }

  /**
   * Opens the line unless it is open; its present state is reported once it has lasted, as lines float while their chip
   * comes up. Throws a door fault, and what a line throws that is gone.
   */
  open(): void {
    if (this.#line) return;
    const line = this.#lines.input(this.#wiring);
    this.#line = line;
    this.#known = undefined;
    line.readSync();
    line.watch(() => this.#debounce());
    this.#debounce();
  }

  /** Looks at the line without an edge: one that was missed shows here. Throws what the line throws. */
  poll(): void {
    if (this.#line && this.#read() !== this.#known && !this.#cancelDebounce) this.#debounce();
  }

  close(): void {
    this.#cancelDebounce?.();
    this.#cancelDebounce = undefined;
    try {
      this.#line?.unwatchAll();
      this.#line?.unexport();
    } catch {
      // a line that is gone has nothing to give back
    }
    this.#line = undefined;
  }

  #debounce(): void {
    this.#cancelDebounce?.();
    this.#cancelDebounce = this.#after(this.#wiring.debounceMs, () => {
      this.#cancelDebounce = undefined;
      try {
        this.#settle();
      } catch (error) {
        this.#failed(error);
      }
    });
  }

  #settle(): void {
    const active = this.#read();
    if (active === this.#known) return;
    this.#known = active;
    if (active !== undefined) this.#changed(active);
  }

  #read(): boolean | undefined {
    if (!this.#line) return undefined;
    return this.#line.readSync() === (this.#wiring.active === 'high' ? 1 : 0);
  }
}
