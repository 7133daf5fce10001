import type { Logger } from 'pino';
import { forgettingBody } from '#core/journal/forgetting.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';
import type { JournalAppend } from '#ports/journal-append.ts';
import type { ForgettingPlan, JournalKeeping } from '#ports/journal-keeping.ts';
import type { Occurrence } from './journal-writer.ts';

export interface JournalRetentionParts {
  readonly journal: Pick<JournalAppend, 'space'> & JournalKeeping;
  readonly retentionMs: number;
  /** resolves when the entry is durable */
  readonly record: (occurrence: Occurrence) => Promise<void>;
  /** resolves when nobody stands at a reader */
  readonly pause: () => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
}

const checkEveryMs = 60_000;
/** each time costs an entry */
const agedEveryMs = 6 * 3_600_000;
const mostAtOnce = 20_000;
/** between two steps, so that the disk has time for taps */
const betweenStepsMs = 20;
/** share of the reserved space in use above which room is made, below which enough was made, and none is short */
const tight = 0.9;
const roomy = 0.85;
const ample = 0.7;

/**
 * Lets the journal go of what the server has stored: of entries older than the retention, and of younger ones rather than
 * have no space for what comes. That is recorded before it is done.
 */
export class JournalRetention {
  readonly #parts: JournalRetentionParts;
  #next: CancelTimer | undefined;
  #running: Promise<void> | undefined;
  #stopped = false;
  #agedAtUs: number | undefined;
  /** whether entries younger than the retention had to go */
  #short = false;

  constructor(parts: JournalRetentionParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#parts.journal.allowForgetting();
    this.#wait();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#next?.();
    await this.#running;
  }

  #wait(): void {
    if (this.#stopped) return;
    this.#next = this.#parts.clock.after(checkEveryMs, () => {
      this.#running = this.#check()
        .catch((error: unknown) => {
          this.#parts.log.error({ err: error }, 'the journal could not let go of entries');
        })
        .finally(() => this.#wait());
    });
  }

  async #check(): Promise<void> {
    const { journal, clock } = this.#parts;
    const used = await this.#used();
    if (used > tight) await this.#makeRoom();
    else if (used < ample) await this.#tellShort(false);
    const nowUs = clock.monotonicUs();
    const due = this.#agedAtUs === undefined || nowUs - this.#agedAtUs >= agedEveryMs * 1_000;
    // nobody knows how old entries are by a clock that is wrong
    if (!due || !clock.trusted()) return;
    this.#agedAtUs = nowUs;
    for (;;) {
      const nowMs = clock.utcMs();
      const olderThanMs = nowMs - this.#parts.retentionMs;
      const plan = await journal.planForgetting({ most: mostAtOnce, nowMs, olderThanMs });
      if (!plan || this.#stopped) return;
      await this.#forget(plan, 'retention');
    }
  }

  async #makeRoom(): Promise<void> {
    const { journal, clock } = this.#parts;
    const { entries } = await journal.space();
    const most = Math.ceil(entries / 20);
    for (let used = await this.#used(); used > roomy && !this.#stopped; used = await this.#used()) {
      const plan = await journal.planForgetting({ most, nowMs: clock.utcMs() });
      if (!plan) return;
      await this.#tellShort(true);
      await this.#forget(plan, 'space');
    }
  }

  async #forget({ through, count, head }: ForgettingPlan, why: 'retention' | 'space'): Promise<void> {
    const { journal, record, pause, clock, log } = this.#parts;
    await record({ kind: 'terminal', body: forgettingBody(head, why) });
    for (let done = false; !done && !this.#stopped; ) {
      await pause();
      done = await journal.forgetSome(through);
      await new Promise<void>((resolve) => clock.after(betweenStepsMs, resolve));
    }
    log.info({ entries: count, through: head.sequence, why }, 'the journal let go of entries');
  }

  async #used(): Promise<number> {
    const { usedBytes, reservedBytes } = await this.#parts.journal.space();
    return usedBytes / reservedBytes;
  }

  async #tellShort(on: boolean): Promise<void> {
    if (this.#short === on) return;
    const { record, log } = this.#parts;
    await record({ kind: 'alarm', body: { alarm: 'journal-retention', on } });
    this.#short = on;
    log[on ? 'warn' : 'info']({ on }, 'the journal lets go of entries before their retention has passed');
  }
}
