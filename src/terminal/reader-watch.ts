import type { Logger } from 'pino';
import type { ReaderStatus } from '#ports/card-reader.ts';
import type { JournalWriter } from './journal-writer.ts';
import type { TerminalSettings } from './terminal.ts';

/** Records how the readers come and go, and a virtual one as the alarm it is on a real terminal. */
export class ReaderWatch {
  readonly #virtualReaders: TerminalSettings['virtualReaders'];
  readonly #journal: JournalWriter;
  readonly #log: Logger;
  /** by the reader's name in the card stack */
  readonly #states = new Map<string, ReaderStatus['state']>();

  constructor(parts: {
    virtualReaders: TerminalSettings['virtualReaders'];
    journal: JournalWriter;
    log: Logger;
  }) {
    this.#virtualReaders = parts.virtualReaders;
    this.#journal = parts.journal;
    this.#log = parts.log;
  }

  ready(readerName: string): boolean {
    return this.#states.get(readerName) === 'ready';
  }

  changed({ name, state, virtual, fault }: ReaderStatus): void {
    const before = this.#states.get(name);
    this.#states.set(name, state);
    if (before === state) return;
    const body = { reader: name, state, virtual };
    this.#journal.note({ kind: 'reader', body: fault ? { ...body, fault: fault.code } : body });
    if (!virtual) return;
    const severity = this.#virtualReaders === 'allowed' ? 'in the site' : 'on a real terminal';
    this.#log.warn({ reader: name }, `virtual reader ${severity}`);
    if (this.#virtualReaders === 'allowed') return;
    this.#journal.note({
      kind: 'alarm',
      body: { alarm: 'reader-virtual', reader: name, on: state !== 'absent' },
    });
  }
}
