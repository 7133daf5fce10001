import { Fault } from '#core/fault.ts';
import type { Manifest } from '#core/sync/manifest.ts';
import type { BucketChange } from '#core/sync/manifest-message.ts';
import type {
  FetchedChunk,
  InstallOutcome,
  MissingChunks,
  PolicySync,
  RevokedRecords,
  StageOutcome,
  SyncTarget,
  WalkStep,
} from '#ports/policy-sync.ts';
import type { PolicySyncOffer } from './policy-sync-worker.ts';
import { StoreWorker } from './worker-link.ts';

/** a million holders on a slow memory card */
const answerWithinMs = 600_000;

/** The distributed policy in the database `file`, written in a thread of its own. */
export class PolicySyncStore implements PolicySync {
  readonly #file: string;
  readonly #worker: StoreWorker<PolicySyncOffer>;

  constructor(parts: { readonly file: string }) {
    this.#file = parts.file;
    this.#worker = new StoreWorker({
      module: new URL('./policy-sync-worker.ts', import.meta.url),
      notOpen: () => new Fault('process-lost', 'the distributed policy is not open'),
    });
  }

  start(): Promise<void> {
    return this.#worker.start((link) => link.call('open', this.#file, answerWithinMs));
  }

  stop(): Promise<void> {
    return this.#worker.stop();
  }

  installed(): Promise<Uint8Array | undefined> {
    return this.#worker.link().call('installed', undefined, answerWithinMs);
  }

  missing(
    target: SyncTarget,
    changes: readonly BucketChange[],
    portion: { readonly from: number; readonly most: number },
  ): Promise<MissingChunks> {
    return this.#worker.link().call('missing', { target, changes, portion }, answerWithinMs);
  }

  stage(target: SyncTarget, chunks: readonly FetchedChunk[]): Promise<StageOutcome> {
    return this.#worker.link().call('stage', { target, chunks }, answerWithinMs);
  }

  install(target: SyncTarget, nowMs: number): Promise<InstallOutcome> {
    return this.#worker.link().call('install', { target, nowMs }, answerWithinMs);
  }

  async revoke(revoked: RevokedRecords): Promise<void> {
    await this.#worker.link().call('revoke', revoked, answerWithinMs);
  }

  revoked(): Promise<readonly RevokedRecords[]> {
    return this.#worker.link().call('revoked', undefined, answerWithinMs);
  }

  walk(manifest: Manifest, from: number): Promise<WalkStep> {
    return this.#worker.link().call('walk', { manifest, from }, answerWithinMs);
  }

  async repair(): Promise<void> {
    await this.#worker.link().call('repair', undefined, answerWithinMs);
  }
}
