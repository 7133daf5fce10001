import { Fault, isFault, toFaultRecord } from '#core/fault.ts';
import type { DoorHardware, DoorInput } from '#ports/door.ts';
import type { GuardOffer } from './door-guard-protocol.ts';
import type { Link } from './link.ts';

/** how long the guard may take to answer a command, in milliseconds; a guard slower than this is replaced */
const commandWithinMs = 1_000;
/** how long it may take to lock and read a door for the first time */
const startWithinMs = 10_000;

/** What a guarded door needs of the guard process. */
export interface GuardAccess {
  /** Throws a Fault `process-lost` while there is none. */
  link(): Link<GuardOffer>;
  /** Replaces a guard that does not answer: the new one begins by locking. */
  replace(): void;
}

/** One door in the hands of the guard process, as the terminal sees it. */
export class GuardedDoor implements DoorHardware {
  readonly #id: string;
  readonly #guard: GuardAccess;
  #onInput: ((input: DoorInput) => void) | undefined;
  /** a fault of the guard process itself was reported, and nothing of the door since */
  #lost = false;

  constructor(id: string, guard: GuardAccess) {
    this.#id = id;
    this.#guard = guard;
  }

  async start(onInput: (input: DoorInput) => void): Promise<void> {
    this.#onInput = onInput;
    this.#lost = false;
    await this.begin();
  }

  async unlock(limitMs: number, cause?: string): Promise<void> {
    const command = { door: this.#id, limitMs, ...(cause === undefined ? {} : { cause }) };
    await this.#command(() => this.#guard.link().call('unlock', command, commandWithinMs));
  }

  async lock(): Promise<void> {
    await this.#command(() => this.#guard.link().call('lock', this.#id, commandWithinMs));
  }

  async stop(): Promise<void> {
    this.#onInput = undefined;
    try {
      await this.#command(() => this.#guard.link().call('stopDoor', this.#id, commandWithinMs));
    } catch (error) {
      // a guard that is gone has nothing to release, and the next begins by locking
      if (!isFault(error, 'door-process-lost')) throw error;
    }
  }

  /** Takes the door in hand on a guard that is ready; does nothing for a door the terminal has not started. */
  async begin(): Promise<void> {
    if (!this.#onInput) return;
    try {
      await this.#guard.link().call('startDoor', this.#id, startWithinMs);
    } catch (error) {
      this.guardLost(lostFault(error));
      // whether the door is locked is not known: the next guard begins with that
      if (isFault(error, 'deadline-exceeded')) this.#guard.replace();
      return;
    }
    if (this.#lost) this.#onInput?.({ kind: 'recovered' });
    this.#lost = false;
  }

  /** Takes what the guard tells of this door. */
  told(input: DoorInput): void {
    if (input.kind === 'fault') this.#lost = false;
    this.#onInput?.(input);
  }

  guardLost(fault: Fault): void {
    if (!this.#lost) this.#onInput?.({ kind: 'fault', fault: toFaultRecord(fault) });
    this.#lost = true;
  }

  async #command(call: () => Promise<void>): Promise<void> {
    try {
      await call();
    } catch (error) {
      if (isFault(error, 'deadline-exceeded')) this.#guard.replace();
      throw lostFault(error);
    }
  }
}

/** Faults of the hardware pass as they are; those of the process become what the door's operator knows. */
export function lostFault(error: unknown): Fault {
  if (isFault(error) && error.code !== 'process-lost' && error.code !== 'deadline-exceeded') return error;
  return new Fault('door-process-lost', 'the process that guards the doors is gone or silent', {
    cause: error,
  });
}
