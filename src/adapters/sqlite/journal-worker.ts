import type { Facts } from '#core/access/access-state.ts';
import type { StoredCheckpoint } from '#core/journal/checkpoint.ts';
import type { JournalHead, JournalRecord } from '#core/journal/record.ts';
import type { JournalSpace } from '#ports/journal-append.ts';
import type { ForgettingPlan, ForgettingRequest, UploadedThrough } from '#ports/journal-keeping.ts';
import { sharedFacts } from './facts.ts';
import { JournalFile, type JournalFileOptions } from './journal-file.ts';
import { planForgetting } from './journal-forgetting.ts';
import type { NewIncarnation } from './journal-incarnation.ts';
import { walReserveBytes } from './journal-reserve.ts';
import { journalSpace } from './journal-space.ts';
import { linkToMain } from './worker-link.ts';

/** The thread that writes the journal: it alone waits for the disk. */

export interface JournalOpened {
  readonly head: JournalHead;
  readonly checkpointed: number;
  readonly started?: NewIncarnation | undefined;
}

export type JournalWorkerOffer = {
  readonly open: (options: JournalFileOptions) => JournalOpened;
  readonly append: (records: readonly JournalRecord[]) => Promise<JournalHead>;
  readonly checkpoint: (signed: {
    readonly sequence: number;
    readonly checkpoint: StoredCheckpoint;
    readonly publicKey: Uint8Array;
  }) => void;
  readonly space: (forgets: boolean) => JournalSpace;
  readonly uploaded: (through: UploadedThrough) => void;
  readonly planForgetting: (request: ForgettingRequest) => ForgettingPlan | undefined;
  readonly forget: (through: number) => boolean;
  readonly sharedFacts: (nothing: undefined) => Facts;
  readonly close: (nothing: undefined) => void;
};

interface Waiting {
  readonly records: readonly JournalRecord[];
  readonly resolve: (head: JournalHead) => void;
  readonly reject: (error: unknown) => void;
}

/** records in one transaction at most, so that a long queue does not hold up its first ones */
const recordsAtOnce = 1_000;
/** the log is moved into the database when it has grown and nobody wrote for this long, or when it is three quarters full */
const idleMs = 200;
const worthMoving = 100;
const bytesPerRecord = 20_000;
/** let go of at once: a tap that comes meanwhile waits for it */
const forgottenAtOnce = 100;

let file: JournalFile | undefined;
const waiting: Waiting[] = [];
let idle: NodeJS.Timeout | undefined;
let logged = 0;
let logLimit = 0;

function opened(): JournalFile {
  if (!file) throw new Error('the journal is not open');
  return file;
}

/** Writes all that waits, in as few durable transactions as possible. */
function writeWaiting(): void {
  while (waiting.length > 0) {
    const batch: Waiting[] = [];
    for (let records = 0; waiting.length > 0 && (batch.length === 0 || records < recordsAtOnce); ) {
      const next = waiting.shift();
      if (!next) break;
      batch.push(next);
      records += next.records.length;
    }
    writeBatch(batch);
  }
  moveLogSoon();
}

function moveLogSoon(): void {
  clearTimeout(idle);
  if (logged >= worthMoving) idle = setTimeout(moveLog, idleMs);
  if (logged * bytesPerRecord > logLimit) moveLog();
}

function writeBatch(batch: readonly Waiting[]): void {
  try {
    const heads = opened().append(batch.map((one) => one.records));
    for (const [index, one] of batch.entries()) one.resolve(heads[index] as JournalHead);
    logged += batch.reduce((count, one) => count + one.records.length, 0);
  } catch (error) {
    if (batch.length === 1 || !(error instanceof TypeError)) {
      for (const one of batch) one.reject(error);
      return;
    }
    // a record that has no JSON form is its writer's bug alone
    for (const one of batch) writeBatch([one]);
  }
}

function moveLog(): void {
  try {
    file?.moveLog();
    logged = 0;
  } catch {
    // the disk may be full: entries are safe in the log, and the next append says what is wrong
  }
}

const offer: JournalWorkerOffer = {
  open: (options) => {
    file = JournalFile.open(options);
    logLimit = walReserveBytes(options.reserveMiB) * 0.75;
    const { started } = file;
    return { head: file.head(), checkpointed: file.checkpointed(), started };
  },
  append: (records) =>
    new Promise((resolve, reject) => {
      waiting.push({ records, resolve, reject });
      // whatever else has arrived by then shares the transaction
      if (waiting.length === 1) setImmediate(writeWaiting);
    }),
  checkpoint: ({ sequence, checkpoint, publicKey }) =>
    opened().storeCheckpoint(sequence, checkpoint, publicKey),
  space: (forgets) => journalSpace(opened().database(), forgets),
  uploaded: (through) => {
    opened().uploaded(through);
    logged += 1;
  },
  planForgetting: (request) => planForgetting(opened().database(), request),
  forget: (through) => {
    const done = opened().forget(through, forgottenAtOnce);
    logged += forgottenAtOnce;
    moveLogSoon();
    return done;
  },
  sharedFacts: () => sharedFacts(opened().database()),
  close: () => {
    clearTimeout(idle);
    file?.close();
    file = undefined;
  },
};

linkToMain(offer);
