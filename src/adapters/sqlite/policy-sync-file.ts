import { existsSync, renameSync } from 'node:fs';
import { Fault, isFault } from '#core/fault.ts';
import type { Manifest } from '#core/sync/manifest.ts';
import type { BucketChange } from '#core/sync/manifest-message.ts';
import type {
  FetchedChunk,
  InstallOutcome,
  RevokedRecords,
  StageOutcome,
  SyncTarget,
  WalkStep,
  WantedChunk,
} from '#ports/policy-sync.ts';
import { guarded, type Sqlite, sqliteCode } from './database.ts';
import { DistributedPolicy } from './distributed-policy.ts';
import { enrol, openPolicyForWriting } from './policy-format.ts';
import { walkPolicy } from './policy-walk.ts';

/** The database of a distributed policy; it waits for the disk on the thread it runs on. */
export class PolicySyncFile {
  readonly #file: string;
  readonly #db: Sqlite;
  readonly #policy: DistributedPolicy;

  /** A file that is no database any more is put aside: the server has all that was in it. Throws database faults. */
  constructor(file: string) {
    this.#file = file;
    this.#db = opened(file);
    this.#policy = new DistributedPolicy(this.#db);
    this.#use(() => enrol(this.#db));
  }

  close(): void {
    this.#db.close();
  }

  installed(): Uint8Array | undefined {
    return this.#use(() => this.#policy.installed());
  }

  missing(target: SyncTarget, changes: readonly BucketChange[]): readonly WantedChunk[] {
    return this.#use(() => this.#policy.missing(target, changes));
  }

  stage(target: SyncTarget, chunks: readonly FetchedChunk[]): StageOutcome {
    return this.#use(() => this.#policy.stage(target, chunks));
  }

  install(target: SyncTarget, nowMs: number): InstallOutcome {
    const outcome = this.#use(() => this.#policy.install(target, nowMs));
    // it is in force already: where a look-up is under way, the next install does this
    this.#use(() => this.#db.pragma('wal_checkpoint(TRUNCATE)'));
    return outcome;
  }

  revoke(revoked: RevokedRecords): void {
    this.#use(() => this.#policy.revoke(revoked));
  }

  revoked(): readonly RevokedRecords[] {
    return this.#use(() => this.#policy.revoked());
  }

  walk(manifest: Manifest, from: number): WalkStep {
    return this.#use(() => walkPolicy(this.#db, manifest, from));
  }

  repair(): void {
    this.#use(() => this.#policy.repair());
  }

  /** What the disk refuses is a fault, and changed nothing. */
  #use<T>(action: () => T): T {
    try {
      return guarded(this.#file, action);
    } catch (error) {
      const code = sqliteCode(error);
      if (code === undefined || isFault(error)) throw error;
      throw new Fault('policy-unwritable', `${this.#file} cannot be written (${code})`, { cause: error });
    }
  }
}

function opened(file: string): Sqlite {
  try {
    return openPolicyForWriting(file);
  } catch (error) {
    if (!isFault(error, 'database-invalid')) throw error;
    for (const end of ['', '-wal', '-shm']) {
      if (existsSync(file + end)) renameSync(file + end, `${file}.damaged${end}`);
    }
    return openPolicyForWriting(file);
  }
}
