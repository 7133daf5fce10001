import type { JournalHead } from '#core/journal/record.ts';
import type { JournalEntryView, VerificationView } from '#web/site/api.ts';
import type { JournalPages, StoredEntryView, TerminalJournal } from './site-parts.ts';

interface Reference {
  readonly terminal: string;
  readonly sequence: number;
}

/**
 * The journals of all terminals of the building as one list. A position counts all entries up to one: those of before in
 * the order of their time, those that come in the order in which they came.
 */
export class MergedJournal implements JournalPages {
  readonly #journals: ReadonlyMap<string, TerminalJournal>;
  /** by terminal: entries of this run and those before them that were looked at, by position from `#first` on */
  readonly #order: Reference[] = [];
  readonly #newest = new Map<string, number>();
  readonly #oldest = new Map<string, number>();
  #first = 1;
  #reading: Promise<unknown> = Promise.resolve();

  constructor(parts: { readonly journals: ReadonlyMap<string, TerminalJournal> }) {
    this.#journals = parts.journals;
  }

  /** Looks where each journal stands; to be called before any of them grows. */
  async start(): Promise<void> {
    for (const [terminal, journal] of this.#journals) {
      const newest = await journal.newest();
      this.#newest.set(terminal, newest);
      this.#oldest.set(terminal, newest + 1);
      this.#first += newest;
    }
  }

  /** The position of the newest entry, after a journal has grown to `head`. */
  position({ terminal, sequence }: Pick<JournalHead, 'terminal' | 'sequence'>): number {
    const known = this.#newest.get(terminal) ?? 0;
    for (let next = known + 1; next <= sequence; next += 1) this.#order.push({ terminal, sequence: next });
    this.#newest.set(terminal, Math.max(known, sequence));
    return this.#last();
  }

  after(position: number, limit: number): Promise<readonly JournalEntryView[]> {
    return this.#alone(async () => {
      await this.#reachBack(position + 1);
      return this.#views(position + 1, position + 1 + limit);
    });
  }

  before(position: number | undefined, limit: number): Promise<readonly JournalEntryView[]> {
    return this.#alone(async () => {
      const end = position ?? this.#last() + 1;
      await this.#reachBack(end - limit);
      return this.#views(end - limit, end);
    });
  }

  async verify(): Promise<VerificationView> {
    const all = await Promise.all([...this.#journals.values()].map((journal) => journal.verify()));
    const sum = (count: (one: VerificationView) => number) =>
      all.reduce((total, one) => total + count(one), 0);
    return {
      sound: all.every(({ sound }) => sound),
      entries: sum(({ entries }) => entries),
      signedThrough: sum(({ signedThrough }) => signedThrough),
      problems: all.flatMap(({ problems }) => problems),
      tookMs: Math.max(0, ...all.map(({ tookMs }) => tookMs)),
    };
  }

  #last(): number {
    return this.#first + this.#order.length - 1;
  }

  /** Puts entries of before into their order, until there is one at `position` or none is left. */
  async #reachBack(position: number): Promise<void> {
    const wanted = this.#first - Math.max(1, position);
    if (wanted <= 0) return;
    const older = new Map<string, StoredEntryView[]>();
    for (const [terminal, journal] of this.#journals) {
      older.set(terminal, [...(await journal.before(this.#oldest.get(terminal) ?? 1, wanted))]);
    }
    const back: Reference[] = [];
    while (back.length < wanted) {
      const [latest] = [...older]
        .flatMap(([terminal, entries]) => entries.slice(-1).map((entry) => ({ terminal, entry })))
        .sort((a, b) => b.entry.atMs - a.entry.atMs);
      if (!latest) break;
      older.get(latest.terminal)?.pop();
      back.push({ terminal: latest.terminal, sequence: latest.entry.sequence });
      this.#oldest.set(latest.terminal, latest.entry.sequence);
    }
    this.#order.unshift(...back.reverse());
    this.#first -= back.length;
  }

  /** The entries at the positions from `start` to before `end`, as far as there are any. */
  async #views(start: number, end: number): Promise<readonly JournalEntryView[]> {
    const from = Math.max(start, this.#first);
    const wanted = this.#order.slice(from - this.#first, Math.max(0, end - this.#first));
    const found = new Map<string, StoredEntryView>();
    for (const [terminal, own] of Map.groupBy(wanted, (one) => one.terminal)) {
      const sequences = own.map(({ sequence }) => sequence);
      const [low, high] = [Math.min(...sequences), Math.max(...sequences)];
      for (const entry of (await this.#journals.get(terminal)?.after(low - 1, high - low + 1)) ?? []) {
        found.set(`${terminal} ${entry.sequence}`, entry);
      }
    }
    return wanted.flatMap(({ terminal, sequence }, at) => {
      const entry = found.get(`${terminal} ${sequence}`);
      return entry ? [{ ...entry, terminal, position: from + at }] : [];
    });
  }

  /** One reading after another. */
  #alone<T>(read: () => Promise<T>): Promise<T> {
    const done = this.#reading.then(read);
    this.#reading = done.catch(() => undefined);
    return done;
  }
}
