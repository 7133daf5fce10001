import type { Logger } from 'pino';
import { encodeLiveEvents } from '#core/sync/live-events.ts';
import type { TerminalIdentity } from '#core/sync/terminal-identity.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';
import type { JournalOutbox } from '#ports/journal-outbox.ts';
import type { MessageBus } from '#ports/message-bus.ts';
import type { LinkParticipant } from './server-link.ts';

export interface LiveFeedParts {
  readonly identity: TerminalIdentity;
  /** as long as another one has it open */
  readonly outbox: Pick<JournalOutbox, 'extent' | 'live'>;
  readonly bus: Pick<MessageBus, 'publish'>;
  /** resolves when nobody stands at a reader */
  readonly pause: () => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** what happens together is told together */
const gatherMs = 100;
/** until the journal is open, and those who watch are there */
const beginAfterMs = 1_000;

/**
 * Tells the server what happens while it happens, and at each connection the alarms that it has not stored yet. One
 * message at a time: what is older than fits in the next one is left to the journal, as is what does not get through.
 */
export class LiveFeed implements LinkParticipant {
  readonly #parts: LiveFeedParts;
  /** position of the last entry that was told, or passed over; undefined before the first of a connection */
  #told: number | undefined;
  #connected = false;
  #wake: CancelTimer | undefined;
  #telling: Promise<void> | undefined;
  #again = false;

  constructor(parts: LiveFeedParts) {
    this.#parts = parts;
  }

  connected(): void {
    this.#connected = true;
    this.#told = undefined;
    this.#wakeIn(beginAfterMs);
  }

  lost(): void {
    this.#connected = false;
  }

  /** Entries were written. Returns at once. */
  grown(): void {
    if (this.#connected && this.#told !== undefined) this.#wakeIn(gatherMs);
  }

  async stop(): Promise<void> {
    this.#connected = false;
    this.#wake?.();
    await this.#telling;
  }

  #wakeIn(ms: number): void {
    this.#wake ??= this.#parts.clock.after(ms, () => {
      this.#wake = undefined;
      this.#again = true;
      this.#telling ??= this.#run().finally(() => {
        this.#telling = undefined;
      });
    });
  }

  async #run(): Promise<void> {
    try {
      while (this.#again && this.#connected) {
        this.#again = false;
        await this.#tell();
      }
    } catch (error) {
      // at first the journal may not be open yet; the disk is told of elsewhere
      this.#parts.log.debug({ err: error }, 'what happens now could not be told to the server');
      if (this.#connected) this.#wakeIn(beginAfterMs);
    }
  }

  async #tell(): Promise<void> {
    const { identity, outbox, bus, pause } = this.#parts;
    await pause();
    const { uploaded, last } = await outbox.extent();
    const isFirst = this.#told === undefined;
    const behind = this.#told ?? uploaded.stored;
    this.#told = last;
    if (behind >= last) return;
    const events = await outbox.live({ behind, alarmsOnly: isFirst });
    if (events.length === 0 || !this.#connected) return;
    await bus.publish({ kind: 'live', payload: encodeLiveEvents({ ...identity, events }) });
  }
}
