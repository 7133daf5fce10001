import { Fault, toFaultRecord } from '#core/fault.ts';
import type { ReaderStatus } from '#ports/card-reader.ts';
import { isVirtualReader } from './reader-name.ts';

export interface ReaderBoardParts {
  /** exact names, as the configuration gives them */
  readonly allowed: readonly string[];
  /** those of other terminals at the same pcscd, which are no business of this one */
  readonly elsewhere: readonly string[];
  readonly virtualReaders: 'refused' | 'allowed';
  readonly changed: (status: ReaderStatus) => void;
}

/** What is known of every reader: those the configuration allows, and those present that it does not. */
export class ReaderBoard {
  readonly #parts: ReaderBoardParts;
  #listed: readonly string[] = [];
  #stackFault: Fault | undefined;
  #processFault: Fault | undefined;
  readonly #readerFaults = new Map<string, Fault>();
  #statuses: ReadonlyMap<string, ReaderStatus> = new Map();

  constructor(parts: ReaderBoardParts) {
    this.#parts = parts;
    this.#statuses = this.#evaluate();
  }

  list(): readonly ReaderStatus[] {
    return [...this.#statuses.values()];
  }

  /** Whether cards are read in this reader when it is there. */
  usable(name: string): boolean {
    const virtualRefused = this.#parts.virtualReaders === 'refused' && isVirtualReader(name);
    return this.#parts.allowed.includes(name) && !virtualRefused;
  }

  /** pcscd answers, with all the readers it has; faults of those that are gone are forgotten. */
  setListed(names: readonly string[]): void {
    this.#stackFault = undefined;
    this.#processFault = undefined;
    this.#listed = names.filter((name) => !this.#parts.elsewhere.includes(name));
    for (const name of this.#readerFaults.keys()) if (!names.includes(name)) this.#readerFaults.delete(name);
    this.#publish();
  }

  /** pcscd does not answer. */
  setStackFault(fault: Fault): void {
    this.#stackFault = fault;
    this.#processFault = undefined;
    this.#listed = [];
    this.#publish();
  }

  /** The child process is lost, until the next one has news. */
  setProcessFault(fault: Fault): void {
    this.#processFault = fault;
    this.#readerFaults.clear();
    this.#publish();
  }

  setReaderFault(name: string, fault: Fault | undefined): void {
    if (fault) this.#readerFaults.set(name, fault);
    else this.#readerFaults.delete(name);
    this.#publish();
  }

  #publish(): void {
    const before = this.#statuses;
    this.#statuses = this.#evaluate();
    for (const status of this.#statuses.values()) {
      const old = before.get(status.name);
      if (old?.state !== status.state || old.fault?.code !== status.fault?.code) this.#parts.changed(status);
    }
    // a reader that the configuration does not name is told of once more when it goes, and then forgotten
    for (const old of before.values()) {
      if (!this.#statuses.has(old.name)) this.#parts.changed(this.#status(old.name));
    }
  }

  #evaluate(): Map<string, ReaderStatus> {
    const names = new Set([...this.#parts.allowed, ...this.#listed]);
    return new Map([...names].map((name) => [name, this.#status(name)]));
  }

  #status(name: string): ReaderStatus {
    const virtual = isVirtualReader(name);
    const of = (state: ReaderStatus['state'], fault?: Fault): ReaderStatus =>
      fault ? { name, state, virtual, fault: toFaultRecord(fault) } : { name, state, virtual };
    if (this.#stackFault) return of('absent', this.#stackFault);
    if (this.#processFault) return of('faulty', this.#processFault);
    if (!this.#listed.includes(name)) {
      return of('absent', new Fault('reader-absent', `pcscd has no reader named "${name}"`));
    }
    if (!this.usable(name)) return of('faulty', refusal(name, virtual, this.#parts.virtualReaders));
    const fault = this.#readerFaults.get(name);
    return fault ? of('faulty', fault) : of('ready');
  }
}

function refusal(name: string, virtual: boolean, virtualReaders: 'refused' | 'allowed'): Fault {
  if (virtual && virtualReaders === 'refused') {
    return new Fault(
      'reader-virtual',
      `"${name}" is software, and a program could be its card; it is not used`,
    );
  }
  return new Fault('reader-not-allowed', `"${name}" is not named in the configuration; it is not used`);
}
