import { Fault, isFault } from '#core/fault.ts';
import type { CardConnection } from './binding.ts';
import { pcscFault } from './pcsc-error.ts';

/** How long a reader that another program holds is asked again, in milliseconds between attempts. */
const sharingRetryMs = 50;

/**
 * One card's connection with a deadline for each exchange. The binding's calls cannot be cancelled: one that
 * outlasts its deadline, or whose card has left, is given up for the caller, while `disconnect` still waits for it.
 * After the first failure everything is refused with that failure.
 */
export class TimedConnection {
  readonly #connection: CardConnection;
  readonly #apduDeadlineMs: number;
  #failure: Fault | undefined;
  #abandon: ((fault: Fault) => void) | undefined;
  #busy = false;
  #idle: (() => void) | undefined;
  #connected = false;
  #broken = false;

  constructor(connection: CardConnection, apduDeadlineMs: number) {
    this.#connection = connection;
    this.#apduDeadlineMs = apduDeadlineMs;
  }

  /** Connects exclusively, asking again within the deadline while another program holds the reader. */
  async connect(): Promise<void> {
    const attempts = Math.ceil(this.#apduDeadlineMs / sharingRetryMs);
    for (let attempt = 1; ; attempt += 1) {
      const fault = await this.#timed<Fault | undefined>((done, failed) =>
        this.#connection.connect((error) => {
          if (!error) this.#connected = true;
          const meaning = error ? pcscFault(error) : undefined;
          if (meaning && meaning.code !== 'reader-in-use') failed(meaning);
          else done(meaning);
        }),
      );
      if (!fault) return;
      if (attempt >= attempts) throw this.#fail(fault);
      await new Promise((resolve) => setTimeout(resolve, sharingRetryMs));
    }
  }

  /** One exchange; rejects with a Fault `card-removed`, `card-timeout` or a reader fault. */
  readonly transmit = (command: Uint8Array): Promise<Uint8Array> =>
    this.#timed((done, failed) =>
      this.#connection.transmit(command, (error, response) => {
        if (error) failed(pcscFault(error));
        // what pcsc-lite makes of an exchange that its driver broke off
        else if (response.length === 0) failed(new Fault('card-removed', 'the exchange broke off'));
        else done(response);
      }),
    );

  /** Gives up what is in flight and refuses everything after it: the card left, or the time is up. */
  abort(fault: Fault): void {
    this.#abandon?.(this.#fail(fault));
  }

  /** Whether an exchange broke off, as it does when the card leaves the field. */
  get broken(): boolean {
    return this.#broken;
  }

  /**
   * Waits for what is in flight, however long it takes, then resets and releases the card, so that session keys
   * and PIN status die on it. A card that broke off has lost them with its power; resetting it would fail, and
   * pcscd then takes the reader for empty without looking, and for a while sees no card that comes back.
   */
  async disconnect(): Promise<void> {
    this.#fail(new Fault('card-channel-closed', 'the card session has ended'));
    if (this.#busy) await new Promise<void>((resolve) => (this.#idle = resolve));
    if (!this.#connected) return;
    this.#connected = false;
    // an error means that the card or pcscd is gone, and the connection with it
    const disposition = this.#broken ? 'leave' : 'reset';
    await new Promise<void>((resolve) => this.#connection.disconnect(disposition, () => resolve()));
  }

  #fail(fault: Fault): Fault {
    this.#failure ??= fault;
    return this.#failure;
  }

  /** `run` starts a call of the binding, which answers in a later turn. */
  #timed<T>(run: (done: (value: T) => void, failed: (fault: Fault) => void) => void): Promise<T> {
    if (this.#failure) return Promise.reject(this.#failure);
    if (this.#busy) throw new Error('one exchange at a time');
    this.#busy = true;
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const settle = (): void => {
        clearTimeout(timer);
        this.#abandon = undefined;
        this.#busy = false;
        this.#idle?.();
      };
      // before anything else, since the card is being waited for
      run(
        (value) => {
          settle();
          resolve(value);
        },
        (fault) => {
          settle();
          this.#broken ||= isFault(fault, 'card-removed');
          reject(this.#fail(fault));
        },
      );
      this.#abandon = reject;
      timer = setTimeout(() => {
        const text = `no answer within ${this.#apduDeadlineMs} ms`;
        reject(this.#fail(new Fault('card-timeout', text)));
      }, this.#apduDeadlineMs);
    });
  }
}
