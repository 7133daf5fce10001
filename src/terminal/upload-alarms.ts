import type { Logger } from 'pino';
import type { DocumentRefusal } from '#core/sync/document.ts';
import type { ChainPosition } from '#core/sync/journal-batch.ts';
import type { LocatedPosition } from '#ports/journal-outbox.ts';
import type { Occurrence } from './journal-writer.ts';

type UploadAlarm = 'journal-gap' | 'journal-contradicted' | 'journal-refused';

/** What is wrong between the journal here and what the server has of it: alarms that stand, each told once in a run. */
export class UploadAlarms {
  readonly #note: (occurrence: Occurrence) => void;
  readonly #log: Logger;
  readonly #standing = new Set<UploadAlarm>();

  constructor(parts: { readonly note: (occurrence: Occurrence) => void; readonly log: Logger }) {
    this.#note = parts.note;
    this.#log = parts.log;
  }

  /** The server lacks what is gone here, or has another history than this one. */
  wrong({ incarnation, sequence }: ChainPosition, { missing, agrees }: LocatedPosition): void {
    if (missing) {
      const [from, through] = missing;
      this.#tell('journal-gap', true, { incarnation, from, through });
    }
    if (!agrees) this.#tell('journal-contradicted', true, { incarnation, sequence });
  }

  refused(reason: DocumentRefusal): void {
    this.#tell('journal-refused', true, { reason });
  }

  /** What is sent is stored. */
  taken(): void {
    this.#tell('journal-refused', false, {});
  }

  #tell(alarm: UploadAlarm, on: boolean, details: { readonly [name: string]: string | number }): void {
    if (this.#standing.has(alarm) === on) return;
    if (on) this.#standing.add(alarm);
    else this.#standing.delete(alarm);
    this.#note({ kind: 'alarm', body: { alarm, on, ...details } });
    this.#log[on ? 'error' : 'info']({ alarm, on, ...details }, 'the journal at the server');
  }
}
