import type { Logger } from 'pino';
import { type Facts, factOf } from '#core/access/access-state.ts';
import type { KeptFacts } from '#core/access/kept-facts.ts';
import { floorAfter, floorAt, type TimeFloor, timeFloorSchema } from '#core/access/time-floor.ts';
import { isFault } from '#core/fault.ts';
import type { JournalHead, JournalKind, JournalRecord, JsonValue } from '#core/journal/record.ts';
import type { Diagnostics } from '#core/sync/command.ts';
import type { Clock } from '#ports/clock.ts';
import type { JournalAppend, JournalSpace } from '#ports/journal-append.ts';

/** An event as the terminal knows it; time, boot and clock state are added when it is recorded. */
export interface Occurrence {
  readonly kind: JournalKind;
  readonly tapId?: string;
  readonly body: { readonly [key: string]: JsonValue };
  readonly personal?: { readonly [field: string]: string };
  /** what becomes durable with the entry */
  readonly facts?: KeptFacts;
}

/** A record on its way to the disk. */
interface Entry {
  readonly record: JournalRecord;
  readonly facts: KeptFacts | undefined;
}

/** A fault that an entry tells of: milliseconds UTC, and the door, the reader or the kind of the entry. */
type RecordedFault = Diagnostics['faults'][number];

/** faults kept for whoever asks what is wrong */
const faultLimit = 20;
/** records kept in memory while the disk takes none; more are counted and the count is recorded */
const waitingLimit = 10_000;
const batchLimit = 100;
const retryAfterMs = 1_000;
/** the fact that keeps the floor of time over reboots */
const floorKey = 'clock/floor';
/** small corrections of the clock that are no step */
const stepToleranceMs = 5_000;

/**
 * The terminal's way into the journal. `decided` resolves when the record is durable: nothing opens before.
 * `note` never waits: what the disk cannot take yet is kept in order and written as soon as it can be.
 */
export class JournalWriter {
  readonly #journal: JournalAppend;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #appended: (head: JournalHead) => void;
  readonly #opened: (shared: Facts) => void;
  readonly #unrecorded: () => KeptFacts;
  readonly #waiting: Entry[] = [];
  readonly #faults: RecordedFault[] = [];
  #dropped = 0;
  #floor: TimeFloor | undefined;
  #draining: Promise<void> | undefined;
  #cancelRetry: (() => void) | undefined;
  #writable = false;
  #spaceLevel: JournalSpace['level'] = 'ample';
  #started = false;
  #head: JournalHead | undefined;
  /** the clock as it was last compared, with the one that never steps */
  #compared: { readonly utcMs: number; readonly monotonicUs: number } | undefined;
  #isOpen = false;
  #opening: Promise<void> | undefined;

  constructor(parts: {
    journal: JournalAppend;
    clock: Clock;
    log: Logger;
    appended: (head: JournalHead) => void;
    /** told the facts about the terminal as a whole before anything is recorded */
    opened: (shared: Facts) => void;
    /** what stands though its records were lost */
    unrecorded: () => KeptFacts;
  }) {
    this.#journal = parts.journal;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#appended = parts.appended;
    this.#opened = parts.opened;
    this.#unrecorded = parts.unrecorded;
  }

  /** Opens the journal. Rejects with database faults; a full disk is borne: taps are denied until there is space. */
  async start(): Promise<void> {
    this.#started = true;
    try {
      await this.open();
    } catch (error) {
      if (!isFault(error, 'journal-full', 'journal-unwritable')) throw error;
      this.#log.error({ fault: error.code }, error.message);
    }
    this.#drainSoon();
  }

  /** The time, milliseconds UTC, below which none counts while the clock is untrusted; 0 before anything is known. */
  floorMs(): number {
    const now = { monotonicUs: this.#clock.monotonicUs(), bootId: this.#clock.bootId() };
    return this.#floor ? floorAt(this.#floor, now) : 0;
  }

  /** The last entry on the disk, as far as this run knows. */
  head(): JournalHead | undefined {
    return this.#head;
  }

  /** The faults told last, newest last. */
  faults(): readonly RecordedFault[] {
    return this.#faults;
  }

  /** Whether the last attempt to write succeeded. */
  writable(): boolean {
    return this.#writable;
  }

  /** Records and resolves when durable. Rejects with `journal-full` or `journal-unwritable`: then nothing opens. */
  async decided(occurrence: Occurrence): Promise<void> {
    const entry = this.#entry(occurrence);
    try {
      await this.#append([entry]);
    } catch (error) {
      entry.facts?.takeBack();
      throw error;
    }
  }

  /** Records as soon as the disk takes it; never throws, never waits. */
  note(occurrence: Occurrence): void {
    if (this.#waiting.length >= waitingLimit) {
      this.#dropped += 1;
      occurrence.facts?.takeBack();
      return;
    }
    this.#waiting.push(this.#entry(occurrence));
    this.#drainSoon();
  }

  /**
   * Records a step of the clock since it was last compared with the one that never steps; at first, how far it is
   * behind the floor: how far ahead it should be, nobody knows after a reboot.
   */
  checkClock(): void {
    const [utcMs, monotonicUs, before] = [this.#clock.utcMs(), this.#clock.monotonicUs(), this.#compared];
    if (!before && !this.#floor) return;
    this.#compared = { utcMs, monotonicUs };
    const expectedMs = before ? before.utcMs + (monotonicUs - before.monotonicUs) / 1_000 : this.floorMs();
    const byMs = Math.round(utcMs - expectedMs);
    if (byMs < -stepToleranceMs) this.#stepped('stepped-back', -byMs);
    else if (before && byMs > stepToleranceMs) this.#stepped('stepped-forward', byMs);
  }

  #stepped(event: 'stepped-back' | 'stepped-forward', byMs: number): void {
    this.note({ kind: 'clock', body: { event, byMs } });
    this.#log.warn({ byMs }, `the clock has ${event.replace('-', ' ')}`);
  }

  /** Records when the space left for the journal enters another level, on the way to full and back. */
  async checkSpace(): Promise<void> {
    try {
      const { level, entries, capacityEntries, daysLeft = null } = await this.#journal.space();
      if (level === this.#spaceLevel) return;
      this.#spaceLevel = level;
      const on = level !== 'ample';
      this.note({
        kind: 'alarm',
        body: { alarm: 'journal-space', on, level, entries, capacityEntries, daysLeft },
      });
      this.#log[on ? 'warn' : 'info']({ level, entries, capacityEntries, daysLeft }, 'space for the journal');
    } catch (error) {
      this.#log.error({ err: error }, 'space for the journal is not known');
    }
  }

  /** Writes what waits, then closes the journal with a last checkpoint. */
  async stop(): Promise<void> {
    this.#endRetry();
    this.#drainSoon();
    while (this.#draining) await this.#draining;
    this.#endRetry();
    this.#started = false;
    const lost = this.#waiting.length + this.#dropped;
    if (lost > 0) this.#log.fatal({ lost }, 'stopped with entries the disk never took');
    await this.#journal.stop();
  }

  #endRetry(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
  }

  #drainSoon(): void {
    if (!this.#started || this.#cancelRetry || this.#draining || this.#waiting.length + this.#dropped === 0)
      return;
    this.#draining = this.#drain().finally(() => {
      this.#draining = undefined;
      this.#drainSoon();
    });
  }

  async #drain(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        const batch = this.#waiting.slice(0, batchLimit);
        await this.#append(batch);
        this.#waiting.splice(0, batch.length);
      }
      if (this.#dropped > 0) {
        const count = this.#dropped;
        const body = { alarm: 'records-lost', count };
        await this.#append([this.#entry({ kind: 'alarm', body, facts: this.#unrecorded() })]);
        this.#dropped -= count;
      }
    } catch (error) {
      this.#log.error({ err: error, waiting: this.#waiting.length }, 'journal cannot be written');
      this.#cancelRetry = this.#clock.after(retryAfterMs, () => {
        this.#cancelRetry = undefined;
        this.#drainSoon();
      });
    }
  }

  /** Opens the journal where it is not open yet. Rejects with `journal-full` or `journal-unwritable`. */
  open(): Promise<void> {
    if (this.#isOpen) return Promise.resolve();
    this.#opening ??= this.#openOnce().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #openOnce(): Promise<void> {
    // started once, though what follows may fail and be tried again
    this.#head ??= await this.#journal.start();
    const shared = await this.#journal.sharedFacts();
    this.#floor = factOf(timeFloorSchema, floorKey, shared.get(floorKey));
    this.#opened(shared);
    this.#isOpen = true;
    this.#writable = true;
    this.#appended(this.#head);
  }

  async #append(entries: readonly Entry[]): Promise<void> {
    try {
      await this.open();
      this.#head = await this.#journal.append(this.#withFloor(entries.map(withChanges)));
      this.#writable = true;
      for (const { facts } of entries) facts?.durable();
      this.#appended(this.#head);
    } catch (error) {
      this.#writable = false;
      throw error;
    }
  }

  /** The records, the last one with the floor of time after all of them. */
  #withFloor(records: readonly JournalRecord[]): readonly JournalRecord[] {
    for (const record of records) this.#floor = floorAfter(this.#floor, record);
    const last = records.at(-1);
    if (!last || !this.#floor) return records;
    const changes = [...(last.changes ?? []), { key: floorKey, value: { ...this.#floor } }];
    return [...records.slice(0, -1), { ...last, changes }];
  }

  #keepFault({ kind, atMs, body: { fault, door, reader } }: JournalRecord): void {
    if (typeof fault !== 'string') return;
    const where = [door, reader].find((one) => typeof one === 'string') ?? kind;
    this.#faults.push({ code: fault, atMs, where: String(where) });
    if (this.#faults.length > faultLimit) this.#faults.shift();
  }

  #entry({ facts, ...occurrence }: Occurrence): Entry {
    const record = {
      ...occurrence,
      atMs: this.#clock.utcMs(),
      monotonicUs: this.#clock.monotonicUs(),
      bootId: this.#clock.bootId(),
      clock: this.#clock.trusted() ? ('trusted' as const) : ('untrusted' as const),
    };
    this.#keepFault(record);
    return { record, facts };
  }
}

/** The record with what becomes durable with it, which the journal's opening may have changed since it was noted. */
function withChanges({ record, facts }: Entry): JournalRecord {
  return facts && facts.changes.length > 0 ? { ...record, changes: facts.changes } : record;
}
