import type { Transmit } from '#core/apdu/transmit.ts';
import { Fault, isFault } from '#core/fault.ts';
import { CardConnection } from './binding.ts';
import { TimedConnection } from './timed-connection.ts';

/** how often readers are asked whether a card has come, in milliseconds */
const askEveryMs = 200;

export interface HoldCardOptions {
  /** exact names; the first with a card in it is taken */
  readonly readerNames: readonly string[];
  /** limit of one exchange and of connecting, in milliseconds */
  readonly apduDeadlineMs: number;
  /** how long to wait for a card, in milliseconds; without end where absent */
  readonly waitMs?: number;
}

/**
 * A card held for diagnosis, in this very process and exclusively: a command ends with it, so that no child process
 * stands between. A terminal never uses this.
 */
export class HeldCard {
  readonly readerName: string;
  readonly #connection: CardConnection;
  readonly #apduDeadlineMs: number;
  #timed: TimedConnection;

  constructor(
    readerName: string,
    parts: { connection: CardConnection; timed: TimedConnection; apduDeadlineMs: number },
  ) {
    this.readerName = readerName;
    this.#connection = parts.connection;
    this.#timed = parts.timed;
    this.#apduDeadlineMs = parts.apduDeadlineMs;
  }

  /** Rejects with a Fault `card-removed`, `card-timeout` or a reader fault; then only `reset` helps. */
  readonly transmit: Transmit = (command) => this.#timed.transmit(command);

  /** Resets the card and connects again: sessions, selections and verified PINs are gone. Rejects as `transmit`. */
  async reset(): Promise<void> {
    await this.#timed.disconnect();
    this.#timed = new TimedConnection(this.#connection, this.#apduDeadlineMs);
    await this.#timed.connect();
  }

  /** Resets the card and lets the reader go. */
  async release(): Promise<void> {
    await this.#timed.disconnect();
  }
}

/** Waits for a card in one of the readers and holds it. Rejects with a Fault `deadline-exceeded` or a reader fault. */
export async function holdCard(options: HoldCardOptions): Promise<HeldCard> {
  const { readerNames, apduDeadlineMs, waitMs } = options;
  const connections = readerNames.map((name) => ({ name, connection: new CardConnection(name) }));
  const attempts = waitMs === undefined ? Number.POSITIVE_INFINITY : Math.ceil(waitMs / askEveryMs);
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    for (const { name, connection } of connections) {
      const timed = new TimedConnection(connection, apduDeadlineMs);
      try {
        await timed.connect();
        return new HeldCard(name, { connection, timed, apduDeadlineMs });
      } catch (error) {
        if (!isFault(error, 'card-removed')) throw error;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, askEveryMs));
  }
  throw new Fault('deadline-exceeded', 'no card is in the reader; hold one up, or use --wait');
}
