import { type Fault, isFault } from '#core/fault.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';

export interface RepeatedParts {
  readonly clock: Pick<Clock, 'after'>;
  readonly everyMs: number;
  readonly action: () => Promise<unknown>;
  /** Told of each fault; what is no fault is a bug, and ends the process. */
  readonly failed: (fault: Fault) => void;
}

/** Does something again and again, and at once when it is asked to: one after another, never twice at a time. */
export class Repeated {
  readonly #parts: RepeatedParts;
  #stopped = false;
  #asked = false;
  #running: Promise<void> | undefined;
  #next: CancelTimer | undefined;

  constructor(parts: RepeatedParts) {
    this.#parts = parts;
  }

  /** Does it now, or once more after the one under way. */
  look(): void {
    this.#asked = true;
    if (this.#running || this.#stopped) return;
    this.#next?.();
    this.#running = this.#run();
  }

  /** Resolves when the one under way has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#next?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, everyMs, action, failed } = this.#parts;
    while (this.#asked && !this.#stopped) {
      this.#asked = false;
      try {
        await action();
      } catch (error) {
        this.#asked = false;
        if (!isFault(error)) throw error;
        failed(error);
      }
    }
    this.#running = undefined;
    if (!this.#stopped) this.#next = clock.after(everyMs, () => this.look());
  }
}
