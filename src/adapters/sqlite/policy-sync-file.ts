import { existsSync, renameSync } from 'node:fs';
import { Fault, isFault } from '#core/fault.ts';
import type { Manifest } from '#core/sync/manifest.ts';
import type { BucketChange } from '#core/sync/manifest-message.ts';
import type {
  FetchedChunk,
  InstallOutcome,
  MissingChunks,
  RevokedRecords,
  StageOutcome,
  SyncTarget,
  WalkStep,
} from '#ports/policy-sync.ts';
import { guarded, type Sqlite, sqliteCode } from './database.ts';
import { DistributedPolicy } from './distributed-policy.ts';
import { enrol, openPolicyForWriting } from './policy-format.ts';
import { walkPolicy } from './policy-walk.ts';

interface Open {
  readonly db: Sqlite;
  readonly policy: DistributedPolicy;
}

/** The database of a distributed policy; it waits for the disk on the thread it runs on. */
export class PolicySyncFile {
  readonly #file: string;
  /** none while a new file could not be begun */
  #open: Open | undefined;

  /** A file that cannot be read any more is put aside: the server has all that was in it. Throws database faults. */
  constructor(file: string) {
    this.#file = file;
    this.#use(() => undefined);
  }

  close(): void {
    this.#open?.db.close();
    this.#open = undefined;
  }

  installed(): Uint8Array | undefined {
    return this.#use(({ policy }) => policy.installed());
  }

  missing(
    target: SyncTarget,
    changes: readonly BucketChange[],
    portion: { readonly from: number; readonly most: number },
  ): MissingChunks {
    return this.#use(({ policy }) => policy.missing(target, changes, portion));
  }

  stage(target: SyncTarget, chunks: readonly FetchedChunk[]): StageOutcome {
    return this.#use(({ policy }) => policy.stage(target, chunks));
  }

  install(target: SyncTarget, nowMs: number): InstallOutcome {
    const outcome = this.#use(({ policy }) => policy.install(target, nowMs));
    // it is in force already: where a look-up is under way, the next install does this
    this.#use(({ db }) => db.pragma('wal_checkpoint(TRUNCATE)'));
    return outcome;
  }

  revoke(revoked: RevokedRecords): void {
    this.#use(({ policy }) => policy.revoke(revoked));
  }

  revoked(): readonly RevokedRecords[] {
    return this.#use(({ policy }) => policy.revoked());
  }

  walk(manifest: Manifest, from: number): WalkStep {
    return this.#use(({ db }) => walkPolicy(db, manifest, from));
  }

  repair(): void {
    this.#use((open) => {
      if (isSound(this.#file, open.db)) open.policy.repair();
      else this.#beginAnew(open.policy);
    });
  }

  #beginAnew(damaged: DistributedPolicy): void {
    const revoked = stillReadable(damaged);
    this.close();
    putAside(this.#file);
    this.#open = opened(this.#file);
    for (const one of revoked) this.#open.policy.revoke(one);
  }

  /** A disk that was away for a moment is there again for what is opened anew alone. */
  #letGo(): void {
    const open = this.#open;
    this.#open = undefined;
    try {
      open?.db.close();
    } catch (error) {
      if (sqliteCode(error) === undefined) throw error;
    }
  }

  /** What the disk refuses is a fault, and changed nothing; the database is opened anew for what comes next. */
  #use<T>(action: (open: Open) => T): T {
    try {
      return guarded(this.#file, () => {
        this.#open ??= opened(this.#file);
        return action(this.#open);
      });
    } catch (error) {
      const code = sqliteCode(error);
      const isFull = code === 'SQLITE_FULL';
      // also of a file that is there no more SQLite says that somebody else has it
      if ((code !== undefined && !isFull) || isFault(error, 'database-in-use')) this.#letGo();
      if (code === undefined || isFault(error)) throw error;
      throw new Fault('policy-unwritable', `${this.#file} cannot be written (${code})`, { cause: error });
    }
  }
}

function opened(file: string): Open {
  try {
    return openedAsItIs(file);
  } catch (error) {
    if (!isFault(error, 'database-invalid')) throw error;
    putAside(file);
    return openedAsItIs(file);
  }
}

function openedAsItIs(file: string): Open {
  const db = openPolicyForWriting(file);
  try {
    return guarded(file, () => {
      enrol(db);
      const policy = new DistributedPolicy(db);
      // without these no terminal could begin with what lies there
      policy.installed();
      policy.revoked();
      return { db, policy };
    });
  } catch (error) {
    db.close();
    throw error;
  }
}

function putAside(file: string): void {
  try {
    for (const end of ['', '-wal', '-shm']) {
      if (existsSync(file + end)) renameSync(file + end, `${file}.damaged${end}`);
    }
  } catch (cause) {
    throw new Fault('policy-unwritable', `${file} is damaged and cannot be put aside`, { cause });
  }
}

/** Whether SQLite can read all of it: what one page of a bad memory card has lost, no write to the others brings back. */
function isSound(file: string, db: Sqlite): boolean {
  try {
    return guarded(file, () => db.pragma('integrity_check(1)', { simple: true })) === 'ok';
  } catch (error) {
    if (isFault(error, 'database-invalid')) return false;
    throw error;
  }
}

/** What is revoked there; where that is lost as well, it counts until a restart, and then nothing opens without it. */
function stillReadable(damaged: DistributedPolicy): readonly RevokedRecords[] {
  try {
    return damaged.revoked();
  } catch {
    return [];
  }
}
