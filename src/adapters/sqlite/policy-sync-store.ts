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
import { LinkedWorker } from './worker-link.ts';

/** a million holders on a slow memory card */
const answerWithinMs = 600_000;

/** The distributed policy in the database `file`, written in a thread of its own. */
export class PolicySyncStore implements PolicySync {
  readonly #file: string;
  #worker: LinkedWorker<PolicySyncOffer> | undefined;

  constructor(parts: { readonly file: string }) {
    this.#file = parts.file;
  }

  async start(): Promise<void> {
    if (this.#worker) throw new Error('the distributed policy is open already');
    const worker = new LinkedWorker<PolicySyncOffer>(new URL('./policy-sync-worker.ts', import.meta.url));
    try {
      await worker.link.call('open', this.#file, answerWithinMs);
      this.#worker = worker;
    } catch (error) {
      await worker.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.stop();
  }

  installed(): Promise<Uint8Array | undefined> {
    return this.#link().call('installed', undefined, answerWithinMs);
  }

  missing(
    target: SyncTarget,
    changes: readonly BucketChange[],
    portion: { readonly from: number; readonly most: number },
  ): Promise<MissingChunks> {
    return this.#link().call('missing', { target, changes, portion }, answerWithinMs);
  }

  stage(target: SyncTarget, chunks: readonly FetchedChunk[]): Promise<StageOutcome> {
    return this.#link().call('stage', { target, chunks }, answerWithinMs);
  }

  install(target: SyncTarget, nowMs: number): Promise<InstallOutcome> {
    return this.#link().call('install', { target, nowMs }, answerWithinMs);
  }

  async revoke(revoked: RevokedRecords): Promise<void> {
    await this.#link().call('revoke', revoked, answerWithinMs);
  }

  revoked(): Promise<readonly RevokedRecords[]> {
    return this.#link().call('revoked', undefined, answerWithinMs);
  }

  walk(manifest: Manifest, from: number): Promise<WalkStep> {
    return this.#link().call('walk', { manifest, from }, answerWithinMs);
  }

  async repair(): Promise<void> {
    await this.#link().call('repair', undefined, answerWithinMs);
  }

  #link(): LinkedWorker<PolicySyncOffer>['link'] {
    if (!this.#worker) throw new Fault('process-lost', 'the distributed policy is not open');
    return this.#worker.link;
  }
}
