import { encodeAcknowledgement, type JournalAcknowledgement } from '#core/sync/journal-acknowledgement.ts';
import type { TerminalIdentity } from '#core/sync/terminal-identity.ts';
import type { Intake, TakenMessage } from '#ports/intake.ts';
import type { Committed, SentBatch } from './batch-storing.ts';
import { JournalQueue, type WaitingBatch } from './journal-queue.ts';

/** commits that last longer than this, in milliseconds, make terminals send less at once */
const easyCommitMs = 250;
const mostCredit = 8;
const longestPauseMs = 60_000;
const waitingBytes = 48 * 1_048_576;
/** what is handed over to be stored at once */
const handedOver = { messages: 250, bytes: 4 * 1_048_576 };
/** one thread stores them all: more at a time are no faster, and each has batches unpacked in memory */
const organizationsAtOnce = 4;
/** so many that wait are handed over while others are still being stored, to be checked meanwhile */
const manyWaiting = 100;

export interface JournalIngestionParts {
  /**
   * Stores batches of one organization behind those it was given before, and tells each commit once it is durable. Rejects
   * with database faults.
   */
  readonly store: (
    organization: string,
    batches: readonly SentBatch[],
    committed: (committed: Committed) => void,
  ) => Promise<void>;
  readonly publish: Intake['publish'];
  /** after each commit: what is wrong, what was refused, how much was stored */
  readonly committed: (organization: string, committed: Committed) => void;
  /** batches of an organization were not stored; they come again */
  readonly failed: (organization: string, error: unknown) => void;
  /** resolves when to try again after that */
  readonly patience: () => Promise<void>;
}

/** Takes the journals of terminals: has stored what they send, and acknowledges what is stored. */
export class JournalIngestion {
  readonly #parts: JournalIngestionParts;
  readonly #queue = new JournalQueue({ batches: mostCredit, bytes: waitingBytes });
  /** organizations whose batches are being stored */
  readonly #storing = new Map<string, Promise<void>>();
  /** those whose turn is to come, in their order */
  readonly #next = new Set<string>();
  #stopped = false;

  constructor(parts: JournalIngestionParts) {
    this.#parts = parts;
  }

  /**
   * Takes messages of the kind `journal`. Resolves when each of them is stored, refused or, since there was no room,
   * dropped; rejects where some could not be stored. Nobody needs to wait for it: an acknowledgement goes out for what is
   * stored alone, and terminals send again what has none.
   */
  async take(messages: readonly TakenMessage[]): Promise<void> {
    if (this.#stopped) return;
    const settled = messages.map(
      (message) =>
        new Promise<void>((resolve, reject) => {
          const done = (error?: unknown) => (error === undefined ? resolve() : reject(error));
          this.#queue.put({ message, settled: done });
        }),
    );
    for (const { from } of messages) this.#storeAll(from.organization);
    for (const one of await Promise.allSettled(settled)) if (one.status === 'rejected') throw one.reason;
  }

  /** How full the queue is, 0 to 1. */
  load(): number {
    return this.#queue.load();
  }

  /** Drops what waits, and resolves when what is under way is stored. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#queue.clear();
    await Promise.all(this.#storing.values());
  }

  #storeAll(organization: string): void {
    if (!this.#storing.has(organization)) this.#next.add(organization);
    this.#beginNext();
  }

  #beginNext(): void {
    for (const organization of this.#next) {
      if (this.#storing.size >= organizationsAtOnce) return;
      this.#next.delete(organization);
      this.#storing.set(
        organization,
        Promise.resolve().then(() => this.#storeWaiting(organization)),
      );
    }
  }

  async #storeWaiting(organization: string): Promise<void> {
    let under: Promise<void> | undefined;
    for (;;) {
      // few are better stored together with those that come until then; so are any where others wait for their turn
      const givesWay = under !== undefined && this.#next.size > 0;
      if (under && (givesWay || this.#queue.waiting(organization) < manyWaiting)) {
        await under;
        under = undefined;
      }
      const taken = givesWay ? [] : this.#queue.take(organization, handedOver);
      if (taken.length === 0) {
        // in the same breath: whatever comes from now on begins anew
        this.#storing.delete(organization);
        if (this.#queue.waiting(organization) > 0) this.#next.add(organization);
        this.#beginNext();
        return;
      }
      const next = this.#handOver(organization, taken);
      await under;
      under = next;
    }
  }

  /** Resolves when all of it is stored, or some of it was not and it is time to try again. */
  async #handOver(organization: string, taken: readonly WaitingBatch[]): Promise<void> {
    const { store, committed, failed, patience } = this.#parts;
    const batches = taken.map(({ message }) => ({
      terminal: message.from.terminal,
      payload: message.payload,
    }));
    try {
      await store(organization, batches, (one) => {
        committed(organization, one);
        this.#answer(organization, one);
      });
      for (const { settled } of taken) settled();
    } catch (error) {
      failed(organization, error);
      for (const { settled } of taken) settled(error);
      if (!this.#stopped) await patience();
    }
  }

  #answer(organization: string, { positions, refusals, tookMs }: Committed): void {
    for (const { terminal, reason } of refusals) {
      const pause = { credit: 1, returnAfterMs: longestPauseMs };
      this.#send({ organization, terminal }, { signedThrough: 0, ...pause, refused: reason });
    }
    const pace = paceAfter(tookMs, this.#queue.load());
    for (const { terminal, position, signedThrough } of positions) {
      this.#send({ organization, terminal }, { position, signedThrough, ...pace });
    }
  }

  /** What of it is lost, a terminal finds out by sending again. */
  #send(to: TerminalIdentity, said: Omit<JournalAcknowledgement, keyof TerminalIdentity>): void {
    void this.#parts.publish({ to, kind: 'ack', payload: encodeAcknowledgement({ ...to, ...said }) });
  }
}

/**
 * How much a terminal may send after a commit that took `commitMs`, so that none waits long for the next one, while the
 * share `load` of what may wait is waiting.
 */
export function paceAfter(
  commitMs: number,
  load: number,
): { readonly credit: number; readonly returnAfterMs: number } {
  const times = Math.max(1, commitMs / easyCommitMs);
  const crowded = load > 0.5;
  const pauseMs = times > mostCredit ? Math.round(commitMs) : crowded ? Math.round(load * 5_000) : 0;
  return {
    credit: crowded ? 1 : Math.max(1, Math.floor(mostCredit / times)),
    returnAfterMs: Math.min(longestPauseMs, pauseMs),
  };
}
