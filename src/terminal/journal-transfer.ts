import type { Logger } from 'pino';
import type { TerminalIdentity } from '#core/sync/terminal-identity.ts';
import type { Clock } from '#ports/clock.ts';
import type { JournalAppend } from '#ports/journal-append.ts';
import type { JournalKeeping } from '#ports/journal-keeping.ts';
import type { JournalOutbox } from '#ports/journal-outbox.ts';
import type { MessageBus } from '#ports/message-bus.ts';
import { JournalRetention } from './journal-retention.ts';
import { JournalUpload } from './journal-upload.ts';
import { LiveFeed } from './live-feed.ts';
import type { LinkParticipant } from './server-link.ts';
import { TapPause } from './tap-pause.ts';
import type { Terminal } from './terminal.ts';

export interface JournalTransferParts {
  readonly identity: TerminalIdentity;
  readonly terminal: Pick<Terminal, 'journal' | 'tapUnderWay'>;
  readonly journal: Pick<JournalAppend, 'space'> & JournalKeeping;
  readonly outbox: JournalOutbox;
  readonly bus: Pick<MessageBus, 'publish'>;
  /** how long entries stay here after the server has them */
  readonly retentionMs: number;
  readonly clock: Clock;
  readonly chance: () => number;
  readonly log: Logger;
}

/** All that a journal and a server have to do with each other: it goes there, and then stays here for a while. */
export class JournalTransfer {
  readonly #parts: JournalTransferParts;
  readonly #upload: JournalUpload;
  readonly #live: LiveFeed;
  readonly #retention: JournalRetention;

  constructor(parts: JournalTransferParts) {
    this.#parts = parts;
    const { clock, terminal } = parts;
    const taps = new TapPause({ clock, tapUnderWay: () => terminal.tapUnderWay() });
    const pause = () => taps.over();
    this.#upload = new JournalUpload({ ...parts, pause, note: (one) => terminal.journal.note(one) });
    this.#live = new LiveFeed({ ...parts, pause });
    this.#retention = new JournalRetention({
      ...parts,
      pause,
      record: (one) => terminal.journal.decided(one),
    });
  }

  start(): void {
    this.#parts.journal.onGrowth(() => {
      this.#upload.grown();
      this.#live.grown();
    });
    this.#retention.start();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#retention.stop(), this.#live.stop()]);
    await this.#upload.stop();
  }

  participants(): readonly LinkParticipant[] {
    return [this.#upload, this.#live];
  }

  acknowledged(payload: Uint8Array): Promise<void> {
    return this.#upload.acknowledged(payload);
  }
}
