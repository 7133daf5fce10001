export type CancelTimer = () => void;

/** Time and timers. A simulated clock implements the same interface, so that no test sleeps. */
export interface Clock {
  /** milliseconds since 1970-01-01 UTC; may step */
  utcMs(): number;
  /** microseconds since an arbitrary moment of this boot (CLOCK_MONOTONIC, equal in all processes); never steps */
  monotonicUs(): number;
  /** whether UTC is known to be right (synchronised since boot or kept by a battery) */
  trusted(): boolean;
  /** identity of this boot of the machine */
  bootId(): string;
  /** Runs `action` once after `delayMs` milliseconds unless cancelled. */
  after(delayMs: number, action: () => void): CancelTimer;
}
