import { release } from '#core/bytes/bytes.ts';
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
import { PolicySyncFile } from './policy-sync-file.ts';
import { linkToMain } from './worker-link.ts';

/** The thread that puts a distributed policy on the disk, so that look-ups in theirs never wait for it. */

export type PolicySyncOffer = {
  readonly open: (file: string) => void;
  readonly installed: (nothing: undefined) => Uint8Array | undefined;
  readonly missing: (
    asked: Asked<{ readonly changes: readonly BucketChange[]; readonly portion: Portion }>,
  ) => MissingChunks;
  readonly stage: (asked: Asked<{ readonly chunks: readonly FetchedChunk[] }>) => StageOutcome;
  readonly install: (asked: Asked<{ readonly nowMs: number }>) => InstallOutcome;
  readonly revoke: (revoked: RevokedRecords) => void;
  readonly revoked: (nothing: undefined) => readonly RevokedRecords[];
  readonly walk: (asked: { readonly manifest: Manifest; readonly from: number }) => WalkStep;
  readonly repair: (nothing: undefined) => void;
};

type Portion = Parameters<PolicySync['missing']>[2];
type Asked<T> = T & { readonly target: SyncTarget };

let open: PolicySyncFile | undefined;

function opened(): PolicySyncFile {
  if (!open) throw new Error('the policy database is not open');
  return open;
}

const offer: PolicySyncOffer = {
  open: (file) => {
    open = new PolicySyncFile(file);
  },
  installed: () => opened().installed(),
  missing: ({ target, changes, portion }) => opened().missing(target, changes, portion),
  stage: ({ target, chunks }) => {
    try {
      return opened().stage(target, chunks);
    } finally {
      for (const { bytes } of chunks) release(bytes);
    }
  },
  install: ({ target, nowMs }) => opened().install(target, nowMs),
  revoke: (revoked) => opened().revoke(revoked),
  revoked: () => opened().revoked(),
  walk: ({ manifest, from }) => opened().walk(manifest, from),
  repair: () => opened().repair(),
};

linkToMain(offer);
