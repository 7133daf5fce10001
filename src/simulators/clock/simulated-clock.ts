import type { CancelTimer, Clock } from '#ports/clock.ts';

interface Timer {
  readonly dueUs: number;
  readonly order: number;
  readonly action: () => void;
}

/** A clock that moves only when told, so that no test sleeps. Timers run on monotonic time, as the kernel's do. */
export class SimulatedClock implements Clock {
  #utcMs: number;
  #monotonicUs = 1_000_000;
  #trusted = true;
  #bootId = '00000000-0000-4000-8000-000000000001';
  #timers = new Set<Timer>();
  #order = 0;

  constructor(options: { utcMs: number }) {
    this.#utcMs = options.utcMs;
  }

  utcMs(): number {
    return Math.floor(this.#utcMs);
  }

  monotonicUs(): number {
    return this.#monotonicUs;
  }

  trusted(): boolean {
    return this.#trusted;
  }

  bootId(): string {
    return this.#bootId;
  }

  after(delayMs: number, action: () => void): CancelTimer {
    this.#order += 1;
    const dueUs = this.#monotonicUs + Math.round(delayMs * 1_000);
    const timer: Timer = { dueUs, order: this.#order, action };
    this.#timers.add(timer);
    return () => {
      this.#timers.delete(timer);
    };
  }

  /** How many timers wait: none once all that set them is at rest. */
  pending(): number {
    return this.#timers.size;
  }

  /** Lets `ms` milliseconds pass and runs every timer that comes due, in its order and at its moment. */
  advance(ms: number): void {
    const untilUs = this.#monotonicUs + Math.round(ms * 1_000);
    for (let timer = this.#nextUntil(untilUs); timer; timer = this.#nextUntil(untilUs)) {
      this.#passUntil(timer.dueUs);
      this.#timers.delete(timer);
      timer.action();
    }
    this.#passUntil(untilUs);
  }

  /**
   * As `advance`, and after every timer lets the promises it settled run; `settled` waits for more, such as threads
   * that work in real time.
   */
  async advanceAsync(ms: number, settled: () => Promise<void> = settlePromises): Promise<void> {
    const untilUs = this.#monotonicUs + Math.round(ms * 1_000);
    await settled();
    for (let timer = this.#nextUntil(untilUs); timer; timer = this.#nextUntil(untilUs)) {
      this.#passUntil(timer.dueUs);
      this.#timers.delete(timer);
      timer.action();
      await settled();
    }
    this.#passUntil(untilUs);
  }

  /** Steps UTC alone, forwards or (negative) back, as a time server or a hand does. */
  stepUtc(ms: number): void {
    this.#utcMs += ms;
  }

  trust(trusted: boolean): void {
    this.#trusted = trusted;
  }

  /** Restarts the machine: another boot, monotonic time from the beginning, no timers. */
  reboot(bootId: string): void {
    this.#bootId = bootId;
    this.#monotonicUs = 1_000_000;
    this.#timers = new Set();
  }

  pendingTimers(): number {
    return this.#timers.size;
  }

  #nextUntil(untilUs: number): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueUs > untilUs) continue;
      if (!first || timer.dueUs < first.dueUs || (timer.dueUs === first.dueUs && timer.order < first.order)) {
        first = timer;
      }
    }
    return first;
  }

  #passUntil(us: number): void {
    const passedUs = Math.max(0, us - this.#monotonicUs);
    this.#monotonicUs += passedUs;
    this.#utcMs += passedUs / 1_000;
  }
}

/** One turn of the event loop: every promise already settled has run its continuations. */
export function settlePromises(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
