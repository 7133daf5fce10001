import { setImmediate } from 'node:timers/promises';
import type { DevicePublicKey } from '#core/crypto/device-signature.ts';
import type { DocumentRefusal } from '#core/sync/document.ts';
import { encodeAcknowledgement, type JournalAcknowledgement } from '#core/sync/journal-acknowledgement.ts';
import { decodeJournalBatch, type JournalBatch } from '#core/sync/journal-batch.ts';
import type { TerminalIdentity } from '#core/sync/terminal-identity.ts';
import type { Clock } from '#ports/clock.ts';
import type { Intake, TakenMessage } from '#ports/intake.ts';
import { type CheckedBatch, checkBatch } from './checked-batch.ts';
import type { JournalAlarm, JournalStore, StoredBatches } from './journal-store.ts';

/** commits that last longer than this, in milliseconds, make terminals send less at once */
const easyCommitMs = 250;
const mostCredit = 8;
const longestPauseMs = 60_000;

/** What the journals of one organization need. */
export interface OrganizationJournal {
  readonly store: JournalStore;
  /** the keys that may sign the journal of a terminal */
  readonly deviceKeys: (terminal: string) => Promise<ReadonlyMap<string, DevicePublicKey>>;
}

export interface JournalIngestionParts {
  /** undefined for an organization that is not here */
  readonly journalOf: (organization: string) => Promise<OrganizationJournal | undefined>;
  readonly publish: Intake['publish'];
  readonly clock: Clock;
  /** after it is stored; each once */
  readonly alarm: (organization: string, alarm: JournalAlarm) => void;
  readonly refused: (from: TerminalIdentity, reason: DocumentRefusal) => void;
}

/** Takes the journals of terminals: stores what they send, and acknowledges what is stored. */
export class JournalIngestion {
  readonly #parts: JournalIngestionParts;

  constructor(parts: JournalIngestionParts) {
    this.#parts = parts;
  }

  /**
   * Stores the batches among `messages`, those of an organization as one transaction, and acknowledges them after it.
   * Rejects where some could not be stored, with the fault of the database; those of other organizations are stored and
   * acknowledged all the same, and what comes again is stored no second time.
   */
  async consume(messages: readonly TakenMessage[]): Promise<void> {
    const journals = messages.filter(({ kind }) => kind === 'journal');
    const byOrganization = Map.groupBy(journals, ({ from }) => from.organization);
    const stored = await Promise.allSettled(
      [...byOrganization].map(([organization, own]) => this.#consume(organization, own)),
    );
    for (const one of stored) if (one.status === 'rejected') throw one.reason;
  }

  async #consume(organization: string, messages: readonly TakenMessage[]): Promise<void> {
    const { journalOf, clock, alarm } = this.#parts;
    const journal = await journalOf(organization);
    if (!journal) return;
    const batches = await this.#checked(journal, this.#understood(messages));
    if (batches.length === 0) return;
    const beganUs = clock.monotonicUs();
    const { positions, alarms } = await journal.store.store(batches);
    const pace = paceAfter((clock.monotonicUs() - beganUs) / 1_000);
    for (const one of alarms) alarm(organization, one);
    this.#acknowledge(organization, positions, pace);
  }

  #understood(messages: readonly TakenMessage[]): readonly JournalBatch[] {
    return messages.flatMap(({ from, payload }) => {
      const read = decodeJournalBatch(payload, from);
      if (read.kind === 'accepted') return [read.value];
      this.#parts.refused(from, read.reason);
      this.#send({
        ...from,
        signedThrough: 0,
        credit: 1,
        returnAfterMs: longestPauseMs,
        refused: read.reason,
      });
      return [];
    });
  }

  async #checked(
    { deviceKeys }: OrganizationJournal,
    batches: readonly JournalBatch[],
  ): Promise<readonly CheckedBatch[]> {
    const keys = new Map<string, ReadonlyMap<string, DevicePublicKey>>();
    const checked: CheckedBatch[] = [];
    for (const batch of batches) {
      const own = keys.get(batch.terminal) ?? (await deviceKeys(batch.terminal));
      keys.set(batch.terminal, own);
      checked.push(checkBatch(batch, own));
      // a batch takes about a millisecond, and others wait for this thread as well
      await setImmediate();
    }
    return checked;
  }

  #acknowledge(
    organization: string,
    positions: StoredBatches['positions'],
    pace: { readonly credit: number; readonly returnAfterMs: number },
  ): void {
    for (const { terminal, position, signedThrough } of positions) {
      this.#send({ organization, terminal, position, signedThrough, ...pace });
    }
  }

  /** What of it is lost, a terminal finds out by sending again. */
  #send(acknowledgement: JournalAcknowledgement): void {
    const { organization, terminal } = acknowledgement;
    const payload = encodeAcknowledgement(acknowledgement);
    void this.#parts.publish({ to: { organization, terminal }, kind: 'ack', payload });
  }
}

/** How much a terminal may send after a commit that took `commitMs`, so that none waits long for the next one. */
export function paceAfter(commitMs: number): { readonly credit: number; readonly returnAfterMs: number } {
  const times = Math.max(1, commitMs / easyCommitMs);
  return {
    credit: Math.max(1, Math.floor(mostCredit / times)),
    returnAfterMs: times <= mostCredit ? 0 : Math.min(longestPauseMs, Math.round(commitMs)),
  };
}
