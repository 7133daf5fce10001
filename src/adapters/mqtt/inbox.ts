export interface InboxOptions<T> {
  /** Takes what came, one batch after another. */
  readonly take: (batch: readonly T[]) => Promise<void>;
  /** A batch was not taken: it is dropped, and the next one comes. */
  readonly failed: (error: unknown) => void;
  readonly mostInBatch: number;
  /** what may wait here; whoever brings more waits, and with them the broker */
  readonly limits: { readonly messages: number; readonly bytes: number };
  readonly bytesOf: (message: T) => number;
}

/**
 * What came and was not taken yet. The MQTT client hears nothing more, not even answers to what it publishes, before
 * the message it brings is accepted here: so that is at once, up to the limits.
 */
export class Inbox<T> {
  readonly #options: InboxOptions<T>;
  #waiting: T[] = [];
  #bytes = 0;
  #taking: Promise<void> | undefined;
  #roomMade: (() => void)[] = [];
  #closed = false;

  constructor(options: InboxOptions<T>) {
    this.#options = options;
  }

  async put(message: T): Promise<void> {
    const { messages, bytes } = this.#options.limits;
    while (!this.#closed && (this.#waiting.length >= messages || this.#bytes >= bytes)) {
      await new Promise<void>((resolve) => this.#roomMade.push(resolve));
    }
    if (this.#closed) return;
    this.#waiting.push(message);
    this.#bytes += this.#options.bytesOf(message);
    this.#taking ??= this.#takeAll();
  }

  /** Drops what waits, and resolves when the batch under way is taken. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#waiting = [];
    this.#makeRoom();
    await this.#taking;
  }

  async #takeAll(): Promise<void> {
    const { take, failed, mostInBatch, bytesOf } = this.#options;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, mostInBatch);
      try {
        await take(batch);
      } catch (error) {
        failed(error);
      }
      for (const message of batch) this.#bytes -= bytesOf(message);
      this.#makeRoom();
    }
    this.#taking = undefined;
  }

  #makeRoom(): void {
    for (const resolve of this.#roomMade.splice(0)) resolve();
  }
}
