import type { PublishOutcome } from '#ports/message-bus.ts';

/** One message that waits for the broker's answer. */
export interface WindowEntry {
  readonly outcome: Promise<PublishOutcome>;
  leave(outcome: PublishOutcome): void;
}

/** What waits for the broker's answer, within bounds of number and size. */
export class Window {
  readonly #limits: { readonly messages: number; readonly bytes: number };
  readonly #entries = new Set<WindowEntry>();
  #bytes = 0;

  constructor(limits: { readonly messages: number; readonly bytes: number }) {
    this.#limits = limits;
  }

  /** undefined where a message of `bytes` finds no room; one that is alone always does. */
  enter(bytes: number): WindowEntry | undefined {
    const { messages, bytes: mostBytes } = this.#limits;
    if (this.#entries.size >= messages) return undefined;
    if (this.#entries.size > 0 && this.#bytes + bytes > mostBytes) return undefined;
    const { promise, resolve } = Promise.withResolvers<PublishOutcome>();
    const entry: WindowEntry = {
      outcome: promise,
      leave: (outcome) => {
        if (!this.#entries.delete(entry)) return;
        this.#bytes -= bytes;
        resolve(outcome);
      },
    };
    this.#entries.add(entry);
    this.#bytes += bytes;
    return entry;
  }

  /** The connection is gone: no answer comes any more. */
  clear(): void {
    for (const entry of [...this.#entries]) entry.leave('away');
  }
}
