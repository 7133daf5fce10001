import type { Logger } from 'pino';
import type { DocumentRefusal } from '#core/sync/document.ts';
import type { Clock } from '#ports/clock.ts';
import type { ChunkRefusal } from '#ports/policy-sync.ts';
import type { JournalWriter } from './journal-writer.ts';

/** What is refused of what the server sends, or somebody in its name. */
export type Refusable = 'manifest' | 'revocation' | 'root' | 'chunk';

export interface RefusedLast {
  readonly of: Refusable;
  readonly reason: DocumentRefusal | ChunkRefusal;
  /** milliseconds UTC */
  readonly atMs: number;
}

/** the same again within this time is not recorded again: who sends forgeries must not fill the journal */
const repeatedUs = 3_600_000_000;

/** Records what was refused, and remembers the last. */
export class RefusalLog {
  readonly #journal: Pick<JournalWriter, 'note'>;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #recordedUs = new Map<string, number>();
  #last: RefusedLast | undefined;

  constructor(parts: {
    readonly journal: Pick<JournalWriter, 'note'>;
    readonly clock: Clock;
    readonly log: Logger;
  }) {
    this.#journal = parts.journal;
    this.#clock = parts.clock;
    this.#log = parts.log;
  }

  add(of: Refusable, reason: RefusedLast['reason']): void {
    this.#last = { of, reason, atMs: this.#clock.utcMs() };
    const [key, nowUs] = [`${of}/${reason}`, this.#clock.monotonicUs()];
    const recordedUs = this.#recordedUs.get(key);
    if (recordedUs !== undefined && nowUs - recordedUs < repeatedUs) return;
    this.#recordedUs.set(key, nowUs);
    this.#journal.note({ kind: 'policy', body: { event: 'refused', of, reason } });
    this.#log.warn({ of, reason }, 'refused');
  }

  last(): RefusedLast | undefined {
    return this.#last;
  }
}
