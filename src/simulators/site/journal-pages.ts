import { isFault } from '#core/fault.ts';
import type { JournalHead } from '#core/journal/record.ts';
import { verifyJournal } from '#core/journal/verify.ts';
import type { JournalRead, JournalView } from '#ports/journal-read.ts';
import type { Signing } from '#ports/signing.ts';
import type { VerificationView } from '#web/site/api.ts';
import type { StoredEntryView, TerminalJournal } from './site-parts.ts';

/** findings shown on the page */
const shownFindings = 5;

/** The journal of a terminal as the page sees it: read beside the terminal that writes it, without personal values. */
export class StoredJournal implements TerminalJournal {
  readonly #journal: JournalRead;
  readonly #signing: Signing;
  readonly #checkpointEntries: number;
  readonly #head: () => JournalHead | undefined;
  #started: Promise<void> | undefined;

  constructor(parts: {
    journal: JournalRead;
    signing: Signing;
    checkpointEntries: number;
    /** the head as the terminal last told it, which is kept outside the database */
    head: () => JournalHead | undefined;
  }) {
    this.#journal = parts.journal;
    this.#signing = parts.signing;
    this.#checkpointEntries = parts.checkpointEntries;
    this.#head = parts.head;
  }

  async stop(): Promise<void> {
    await this.#started;
    await this.#journal.stop();
  }

  async newest(): Promise<number> {
    try {
      const [entry] = await (await this.#reader()).list({ limit: 1 });
      return entry?.entry.sequence ?? 0;
    } catch (error) {
      if (isFault(error)) return 0;
      throw error;
    }
  }

  async after(sequence: number, limit: number): Promise<readonly StoredEntryView[]> {
    return (await (await this.#reader()).list({ fromSequence: sequence + 1, limit })).map(entryView);
  }

  async before(sequence: number, limit: number): Promise<readonly StoredEntryView[]> {
    if (sequence <= 1) return [];
    const fromSequence = Math.max(1, sequence - limit);
    const entries = await (await this.#reader()).list({ fromSequence, limit: sequence - fromSequence });
    return entries.map(entryView);
  }

  async verify(): Promise<VerificationView> {
    const began = performance.now();
    const head = this.#head();
    const report = await verifyJournal((await this.#reader()).items(), {
      publicKeys: [this.#signing.publicKey()],
      heads: head ? [head] : [],
      personalIncluded: true,
      checkpointEveryEntries: this.#checkpointEntries,
    });
    const segments = report.chains.at(-1)?.segments ?? [];
    return {
      sound: report.sound,
      entries: report.entries,
      signedThrough: segments.at(-1)?.signedThrough ?? 0,
      problems: report.findings.slice(0, shownFindings).map(({ text }) => text),
      tookMs: Math.round(performance.now() - began),
    };
  }

  /** Opened at first use: the terminal makes the database when it starts. */
  async #reader(): Promise<JournalRead> {
    this.#started ??= this.#journal.start().catch((error: unknown) => {
      this.#started = undefined;
      throw error;
    });
    await this.#started;
    return this.#journal;
  }
}

function entryView({ entry, hash }: JournalView): StoredEntryView {
  const { sequence, atMs, kind, tapId, body } = entry;
  return { sequence, atMs, kind, hash, body, ...(tapId !== undefined && { tapId }) };
}
