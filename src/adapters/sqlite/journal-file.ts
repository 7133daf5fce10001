import { randomBytes } from 'node:crypto';
import type { Statement } from 'better-sqlite3';
import { toHex } from '#core/bytes/bytes.ts';
import { Fault, isFault } from '#core/fault.ts';
import type { StoredCheckpoint } from '#core/journal/checkpoint.ts';
import { chainEntry, type StoredEntry, saltLength } from '#core/journal/entry.ts';
import type { JournalHead, JournalRecord } from '#core/journal/record.ts';
import type { UploadedThrough } from '#ports/journal-keeping.ts';
import { guarded, isBlank, openDatabase, type Sqlite, sqliteCode } from './database.ts';
import { FactsWriter } from './facts.ts';
import { createJournal } from './journal-create.ts';
import { forgetSome } from './journal-forgetting.ts';
import { journalFormat } from './journal-format.ts';
import { chooseIncarnation, headOf, type NewIncarnation } from './journal-incarnation.ts';
import { lockJournal } from './journal-lock.ts';
import {
  makeRoom,
  releaseReservation,
  reservePages,
  reserveWal,
  walReserveBytes,
} from './journal-reserve.ts';

export interface JournalFileOptions {
  readonly file: string;
  /** undefined: whichever terminal wrote the last entry, for maintenance by command */
  readonly terminal: string | undefined;
  /** whether a journal that does not exist is made */
  readonly create: boolean;
  readonly reserveMiB: number;
  /** the last head this device remembers outside the database */
  readonly remembered?: JournalHead | undefined;
}

/**
 * The writer's side of a journal database, for a thread that may wait for the disk. One at a time per file; entries
 * of one call are durable together or not at all.
 */
export class JournalFile {
  readonly started: NewIncarnation | undefined;
  readonly #db: Sqlite;
  readonly #lock: Sqlite;
  readonly #options: JournalFileOptions;
  readonly #insertEntry: Statement<[number, number, Uint8Array, Uint8Array]>;
  readonly #insertPersonal: Statement<[number, string, Uint8Array, string]>;
  readonly #firstPosition: number;
  readonly #facts: FactsWriter;
  #head: JournalHead;

  private constructor(options: JournalFileOptions, db: Sqlite, lock: Sqlite) {
    this.#options = options;
    this.#db = db;
    this.#lock = lock;
    const { incarnation, started } = db.transaction(() => chooseIncarnation(db, options)).immediate();
    this.started = started;
    this.#firstPosition = incarnation.first_position;
    this.#head = headOf(db, incarnation);
    this.#insertEntry = db.prepare('INSERT INTO entries (position, at_ms, raw, hash) VALUES (?, ?, ?, ?)');
    this.#facts = new FactsWriter(db);
    this.#insertPersonal = db.prepare(
      'INSERT INTO personal (position, field, salt, value) VALUES (?, ?, ?, ?)',
    );
  }

  /**
   * Takes the writer's lock and opens the journal, making it and reserving its space where `create` says so.
   *
   * @throws Fault `database-in-use`, `database-newer`, `database-invalid`, `journal-broken`, `journal-full` or
   * `journal-unwritable`
   */
  static open(options: JournalFileOptions): JournalFile {
    const { file, reserveMiB } = options;
    return writable(file, () => {
      const lock = lockJournal(file);
      let db: Sqlite | undefined;
      try {
        makeRoom(file);
        if (options.create && isBlank(file)) createJournal(file, reserveMiB);
        reserveWal(file, walReserveBytes(reserveMiB) - mebibyte / 4);
        db = guarded(file, () => openDatabase(file, journalFormat, { readonly: false }));
        releaseReservation(db);
        growReservation(db, reserveMiB);
        return new JournalFile(options, db, lock);
      } catch (error) {
        db?.close();
        lock.close();
        throw error;
      }
    });
  }

  /**
   * Stores the records of each group in order, all in one durable transaction, and returns each group's last head.
   *
   * @throws Fault `journal-full` or `journal-unwritable`; then nothing of it is stored
   */
  append(groups: readonly (readonly JournalRecord[])[]): readonly JournalHead[] {
    const before = this.#head;
    try {
      return writable(this.#options.file, () =>
        this.#db.transaction(() => groups.map((group) => this.#add(group))).immediate(),
      );
    } catch (error) {
      this.#head = before;
      throw error;
    }
  }

  /** Stores a checkpoint of the present or an earlier head, and the key that signed it. */
  storeCheckpoint(sequence: number, checkpoint: StoredCheckpoint, publicKey: Uint8Array): void {
    writable(this.#options.file, () =>
      this.#db
        .transaction(() => {
          this.#db.prepare('INSERT OR IGNORE INTO device_keys (public_key) VALUES (?)').run(publicKey);
          this.#db
            .prepare('INSERT OR REPLACE INTO checkpoints (position, raw, signature) VALUES (?, ?, ?)')
            .run(this.#firstPosition + sequence - 1, checkpoint.raw, checkpoint.signature);
        })
        .immediate(),
    );
  }

  /** Remembers how far the server has this journal. */
  uploaded({ stored, signed }: UploadedThrough): void {
    this.#unhurried(() =>
      this.#db
        .prepare('INSERT OR REPLACE INTO upload (one, stored, signed) VALUES (1, ?, ?)')
        .run(stored, signed),
    );
  }

  /** Lets go of the entries through position `through`, `most` of them at once, leaving no trace of what was personal. */
  forget(through: number, most: number): boolean {
    this.#db.pragma('secure_delete = ON');
    try {
      return this.#unhurried(() => forgetSome(this.#db, through, most));
    } finally {
      this.#db.pragma('secure_delete = OFF');
    }
  }

  head(): JournalHead {
    return this.#head;
  }

  /** Sequence number of the last entry that a checkpoint signs, 0 for none. */
  checkpointed(): number {
    const row = this.#db
      .prepare<[], { last: number | null }>('SELECT max(position) AS last FROM checkpoints')
      .get();
    return Math.max(0, (row?.last ?? 0) - this.#firstPosition + 1);
  }

  database(): Sqlite {
    return this.#db;
  }

  /** Moves what the write-ahead log holds into the database; waits for no reader. */
  moveLog(): void {
    this.#db.pragma('wal_checkpoint(PASSIVE)');
  }

  /** Closes the database, keeps the space of its log, and lets the next writer in. */
  close(): void {
    this.#db.close();
    reserveWal(this.#options.file, walReserveBytes(this.#options.reserveMiB));
    this.#lock.close();
  }

  /** A transaction that becomes durable with the next append: nobody at a door waits for it. */
  #unhurried<T>(action: () => T): T {
    this.#db.pragma('synchronous = NORMAL');
    try {
      return writable(this.#options.file, () => this.#db.transaction(action).immediate());
    } finally {
      this.#db.pragma('synchronous = FULL');
    }
  }

  #add(records: readonly JournalRecord[]): JournalHead {
    for (const record of records) {
      const { terminal, incarnation, sequence, hash } = this.#head;
      const position = { terminal, incarnation, sequence: sequence + 1 };
      const entry = chainEntry(record, position, hash, () => randomBytes(saltLength));
      this.#insert(this.#firstPosition + sequence, record.atMs, entry);
      this.#facts.apply(record.changes ?? []);
      this.#head = { ...position, hash: toHex(entry.hash) };
    }
    return this.#head;
  }

  /** Name of the terminal whose journal this is. */
  terminal(): string {
    return this.#head.terminal;
  }

  #insert(position: number, atMs: number, entry: StoredEntry): void {
    this.#insertEntry.run(position, atMs, entry.raw, entry.hash);
    for (const { field, salt, value } of entry.personal)
      this.#insertPersonal.run(position, field, salt, value);
  }
}

const mebibyte = 1024 * 1024;

/** Runs `action`; a disk that is full or fails becomes `journal-full` or `journal-unwritable`. */
export function writable<T>(file: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    const code = sqliteCode(error) ?? (error as NodeJS.ErrnoException).code;
    if (isFault(error) || code === undefined) throw error;
    if (code === 'SQLITE_FULL' || code === 'ENOSPC' || code === 'EDQUOT') {
      throw new Fault('journal-full', `${file}: the disk has no space left for the journal`, {
        cause: error,
      });
    }
    throw new Fault('journal-unwritable', `${file}: the journal cannot be written (${code})`, {
      cause: error,
    });
  }
}

/** A journal made smaller than the configuration now asks for grows; a disk too small for that is no reason to stop. */
function growReservation(db: Sqlite, reserveMiB: number): void {
  try {
    reservePages(db, reserveMiB);
  } catch (error) {
    if (sqliteCode(error) !== 'SQLITE_FULL') throw error;
  }
}
