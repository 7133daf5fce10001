import { Fault, type FaultRecord, isFault, toFaultRecord } from '#core/fault.ts';

/** Runs `action` once after `delayMs` milliseconds unless the function it returns is called before. */
export type After = (delayMs: number, action: () => void) => () => void;

export type StrikeReport =
  | { readonly kind: 'strike'; readonly locked: boolean }
  | { readonly kind: 'fault'; readonly fault: FaultRecord }
  | { readonly kind: 'recovered' };

/**
 * Sets the strike and reads it back: resolves with whether it is locked, or undefined where no strike is fitted.
 * Opens the hardware again if it was lost. Rejects with a door fault.
 */
export type SetStrike = (locked: boolean, cause?: string) => Promise<boolean | undefined>;

/** how long after a failure locking is tried again, in milliseconds */
const retryAfterMs = 250;

/**
 * Keeps one strike locked except between `unlock` and its limit, whatever the hardware does: commands run one after
 * the other, every failure is reported once, and locking is tried again until it is read back.
 */
export class StrikeKeeper {
  readonly #set: SetStrike;
  readonly #after: After;
  readonly #report: (report: StrikeReport) => void;
  #queue: Promise<unknown> = Promise.resolve();
  #cancelLimit: (() => void) | undefined;
  #cancelRetry: (() => void) | undefined;
  #fault: FaultRecord | undefined;
  #locked: boolean | undefined;
  #wanted: 'locked' | 'unlocked' = 'locked';
  /** counts commands, so that a retry never undoes a later one */
  #command = 0;
  #stopped = true;

  constructor(dependencies: { set: SetStrike; after: After; report: (report: StrikeReport) => void }) {
    this.#set = dependencies.set;
    this.#after = dependencies.after;
    this.#report = dependencies.report;
  }

  /** Locks; a failure is reported and tried again. */
  async start(): Promise<void> {
    this.#stopped = false;
    await this.lock().catch(() => undefined);
  }

  /**
   * Unlocks for at most `limitMs` milliseconds. Rejects with a door fault, and then locks again; always before
   * `start` and after `stop`, when nobody would hear what became of it, and when told to lock before it could.
   */
  async unlock(limitMs: number, cause?: string): Promise<void> {
    if (this.#stopped) throw new Fault('door-hardware-absent', 'the door is not in service');
    this.#command += 1;
    const command = this.#command;
    this.#wanted = 'unlocked';
    this.#cancelRetry?.();
    this.#cancelLimit?.();
    this.#cancelLimit = this.#after(limitMs, () => void this.lock().catch(() => undefined));
    try {
      await this.#enqueue(async () => {
        // a slow relay must let nobody in by a command that waited while lockdown was declared
        if (this.#wanted === 'locked')
          throw new Fault('door-hardware-failed', 'locked again before the strike could unlock');
        await this.#apply(false, cause);
      });
    } catch (error) {
      this.#scheduleRetry(command);
      throw error;
    }
  }

  /** Locks. Rejects with a door fault, and goes on trying. */
  async lock(): Promise<void> {
    this.#command += 1;
    const command = this.#command;
    this.#wanted = 'locked';
    this.#cancelRetry?.();
    this.#cancelLimit?.();
    try {
      await this.#enqueue(() => this.#apply(true));
    } catch (error) {
      this.#scheduleRetry(command);
      throw error;
    }
  }

  /** Takes what the hardware shows without having been asked; a strike found unlocked by itself is locked again. */
  observe(locked: boolean): void {
    if (this.#stopped || this.#fault || locked === this.#locked) return;
    this.#locked = locked;
    this.#report({ kind: 'strike', locked });
    if (!locked && this.#wanted === 'locked') void this.lock().catch(() => undefined);
  }

  /** Takes a failure noticed outside a command (a line lost, a board unplugged). */
  failed(fault: Fault): void {
    if (this.#stopped) return;
    this.#reportFault(fault);
    this.#scheduleRetry(this.#command);
  }

  /** Locks a last time and ends every timer; a failure of that is swallowed, as nothing is left to hear it. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.lock().catch(() => undefined);
  }

  #enqueue(action: () => Promise<void>): Promise<void> {
    const run = this.#queue.then(action);
    this.#queue = run.catch(() => undefined);
    return run;
  }

  async #apply(locked: boolean, cause?: string): Promise<void> {
    try {
      const read = await this.#set(locked, cause);
      if (read !== undefined && read !== locked) {
        throw new Fault('door-hardware-failed', `the strike reads back ${read ? 'locked' : 'unlocked'}`);
      }
      if (this.#fault && !this.#stopped) this.#report({ kind: 'recovered' });
      this.#fault = undefined;
      if (read !== undefined && read !== this.#locked && !this.#stopped)
        this.#report({ kind: 'strike', locked });
      this.#locked = read;
    } catch (error) {
      const fault = isFault(error)
        ? error
        : new Fault('door-hardware-failed', 'the strike cannot be driven', { cause: error });
      this.#reportFault(fault);
      throw fault;
    }
  }

  #reportFault(fault: Fault): void {
    const known = this.#fault?.code === fault.code;
    this.#fault = toFaultRecord(fault);
    this.#locked = undefined;
    if (!known && !this.#stopped) this.#report({ kind: 'fault', fault: this.#fault });
  }

  /** Locks later, unless a command after `command` has been given: that one has its own end. */
  #scheduleRetry(command: number): void {
    if (this.#stopped || command !== this.#command) return;
    this.#cancelRetry?.();
    this.#cancelRetry = this.#after(retryAfterMs, () => {
      if (command === this.#command) void this.lock().catch(() => undefined);
    });
  }
}
