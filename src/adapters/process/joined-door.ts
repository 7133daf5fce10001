import type { FaultRecord } from '#core/fault.ts';
import type { DoorHardware, DoorInput } from '#ports/door.ts';

/**
 * One door out of parts on different hardware, such as a strike on a USB relay and a contact on GPIO. It is faulty
 * while any part is; a command goes to every part, and those without a strike have nothing to do.
 */
export class JoinedDoor implements DoorHardware {
  readonly #parts: readonly DoorHardware[];
  readonly #faults = new Map<DoorHardware, FaultRecord>();

  constructor(parts: readonly DoorHardware[]) {
    this.#parts = parts;
  }

  async start(onInput: (input: DoorInput) => void): Promise<void> {
    await Promise.all(this.#parts.map((part) => part.start((input) => this.#pass(part, input, onInput))));
  }

  async unlock(limitMs: number, cause?: string): Promise<void> {
    await allOf(this.#parts.map((part) => part.unlock(limitMs, cause)));
  }

  async lock(): Promise<void> {
    await allOf(this.#parts.map((part) => part.lock()));
  }

  async stop(): Promise<void> {
    await allOf(this.#parts.map((part) => part.stop()));
  }

  #pass(part: DoorHardware, input: DoorInput, onInput: (input: DoorInput) => void): void {
    if (input.kind === 'fault') {
      this.#faults.set(part, input.fault);
    } else if (input.kind === 'recovered') {
      this.#faults.delete(part);
      const [remaining] = this.#faults.values();
      if (remaining) {
        onInput({ kind: 'fault', fault: remaining });
        return;
      }
    }
    onInput(input);
  }
}

/** Waits for every one, even when the first fails: no command is left running unseen. */
async function allOf(commands: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(commands);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
