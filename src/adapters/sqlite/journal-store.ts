import type { Facts } from '#core/access/access-state.ts';
import { Fault, isFault } from '#core/fault.ts';
import { checkpointBytes } from '#core/journal/checkpoint.ts';
import type { JournalHead, JournalRecord, JsonValue } from '#core/journal/record.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';
import type { JournalAppend, JournalSpace } from '#ports/journal-append.ts';
import type {
  ForgettingPlan,
  ForgettingRequest,
  JournalKeeping,
  UploadedThrough,
} from '#ports/journal-keeping.ts';
import type { Signing } from '#ports/signing.ts';
import type { NewIncarnation } from './journal-incarnation.ts';
import type { JournalOpened, JournalWorkerOffer } from './journal-worker.ts';
import { readRememberedHead, rememberHead } from './remembered-head.ts';
import { LinkedWorker } from './worker-link.ts';

export interface JournalStoreParts {
  /** path of the database; it is made where there is none */
  readonly file: string;
  readonly terminal: string;
  readonly signing: Signing;
  readonly clock: Clock;
  /** disk space taken beforehand, in MiB; the first start takes as long as writing that much */
  readonly reserveMiB?: number;
  readonly checkpointEntries?: number;
  readonly checkpointIntervalMs?: number;
  /** where the head is remembered outside the database; by default beside it */
  readonly headFile?: string;
  /** told of each opening, the first of which takes as long as writing the reserved space */
  readonly opening?: (opened: Promise<unknown>) => void;
}

/**
 * An append ends with the disk's answer: one given up before could still become durable, and would be recorded once
 * more. Whoever waits at the door is judged by the tap's own deadline, a terminal whose disk hangs by the watchdog.
 */
const appendWithinMs = 3_600_000;
const answerWithinMs = 10_000;
/** the first start writes the whole reserved space */
const openWithinMs = 600_000;

/**
 * The journal in SQLite, written by a thread of its own. Appends that wait at the same time share one durable
 * transaction. A checkpoint is signed every so many entries, every so often while entries come, at start where the
 * last run left some unsigned, and at stop.
 */
export class JournalStore implements JournalAppend, JournalKeeping {
  readonly #parts: Required<JournalStoreParts>;
  #worker: LinkedWorker<JournalWorkerOffer> | undefined;
  #head: JournalHead | undefined;
  #checkpointed = 0;
  #forgets = false;
  readonly #listeners: (() => void)[] = [];
  #signing: Promise<void> | undefined;
  #cancelTimer: CancelTimer | undefined;

  constructor(parts: JournalStoreParts) {
    this.#parts = {
      reserveMiB: 256,
      checkpointEntries: 1_000,
      checkpointIntervalMs: 600_000,
      headFile: `${parts.file}.head`,
      opening: () => undefined,
      ...parts,
    };
  }

  async start(): Promise<JournalHead> {
    if (this.#worker) throw new Error('the journal is started already');
    const { file, terminal, reserveMiB, headFile, opening } = this.#parts;
    const remembered = await readRememberedHead(headFile);
    const worker = new LinkedWorker<JournalWorkerOffer>(new URL('./journal-worker.ts', import.meta.url));
    try {
      const options = { file, terminal, create: true, reserveMiB, remembered };
      const opened = worker.link.call('open', options, openWithinMs);
      opening(opened);
      const found = await opened;
      this.#worker = worker;
      return await this.#begin(found);
    } catch (error) {
      this.#worker = undefined;
      await worker.stop();
      throw asJournalFault(error);
    }
  }

  async append(records: readonly JournalRecord[]): Promise<JournalHead> {
    try {
      const head = await this.#link().call('append', records, appendWithinMs);
      if (head.sequence > (this.#head?.sequence ?? 0)) this.#head = head;
      this.#signWhenDue();
      this.#tell();
      return head;
    } catch (error) {
      throw asJournalFault(error);
    }
  }

  async space(): Promise<JournalSpace> {
    return this.#link().call('space', this.#forgets, answerWithinMs);
  }

  onGrowth(listener: () => void): void {
    this.#listeners.push(listener);
  }

  async uploaded(through: UploadedThrough): Promise<void> {
    await this.#link().call('uploaded', through, answerWithinMs);
  }

  allowForgetting(): void {
    this.#forgets = true;
  }

  async planForgetting(request: ForgettingRequest): Promise<ForgettingPlan | undefined> {
    return this.#link().call('planForgetting', request, answerWithinMs);
  }

  async forgetSome(through: number): Promise<boolean> {
    return this.#link().call('forget', through, answerWithinMs);
  }

  async sharedFacts(): Promise<Facts> {
    return this.#link().call('sharedFacts', undefined, answerWithinMs);
  }

  async stop(): Promise<void> {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const worker = this.#worker;
    if (!worker) return;
    try {
      await this.#signHead();
      await worker.link.call('close', undefined, answerWithinMs);
    } finally {
      this.#worker = undefined;
      await worker.stop();
    }
  }

  async #begin({ head, checkpointed, started }: JournalOpened): Promise<JournalHead> {
    this.#head = head;
    this.#checkpointed = checkpointed;
    if (started) await this.append([this.#incarnationRecord(started)]);
    await this.#signHead();
    // an empty journal is remembered too, so that it is not taken for an old copy later
    if (head.sequence === 0) await rememberHead(this.#parts.headFile, this.#head).catch(() => undefined);
    return this.#head;
  }

  #link(): LinkedWorker<JournalWorkerOffer>['link'] {
    if (!this.#worker) throw new Fault('journal-unwritable', 'the journal is not open');
    return this.#worker.link;
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  #signWhenDue(): void {
    const { checkpointEntries, checkpointIntervalMs, clock } = this.#parts;
    if ((this.#head?.sequence ?? 0) - this.#checkpointed >= checkpointEntries) {
      void this.#signHead();
    } else if ((this.#head?.sequence ?? 0) > this.#checkpointed) {
      this.#cancelTimer ??= clock.after(checkpointIntervalMs, () => {
        this.#cancelTimer = undefined;
        void this.#signHead();
      });
    }
  }

  /** Signs the head unless it is signed; a checkpoint that cannot be stored now is made later, with the next ones. */
  async #signHead(): Promise<void> {
    while (this.#signing) await this.#signing;
    const head = this.#head;
    if (!head || head.sequence <= this.#checkpointed) return;
    const before = this.#checkpointed;
    // entries that come meanwhile count from here
    this.#checkpointed = head.sequence;
    this.#signing = this.#sign(head)
      .catch((error: unknown) => {
        this.#checkpointed = before;
        if (!isFault(error)) throw error;
      })
      .finally(() => {
        this.#signing = undefined;
      });
    await this.#signing;
  }

  async #sign(head: JournalHead): Promise<void> {
    const { signing, clock, headFile } = this.#parts;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const raw = checkpointBytes(head, clock.utcMs(), signing.keyId());
    const signature = await signing.sign(raw);
    const signed = {
      sequence: head.sequence,
      checkpoint: { raw, signature },
      publicKey: signing.publicKey(),
    };
    await this.#link().call('checkpoint', signed, answerWithinMs);
    this.#tell();
    await rememberHead(headFile, head).catch(() => undefined);
  }

  #incarnationRecord({ reason, before }: NewIncarnation): JournalRecord {
    const { clock } = this.#parts;
    const body: { [key: string]: JsonValue } = {
      event: 'incarnation-started',
      reason,
      previous: { ...before },
    };
    return {
      kind: 'terminal',
      atMs: clock.utcMs(),
      monotonicUs: clock.monotonicUs(),
      bootId: clock.bootId(),
      clock: clock.trusted() ? 'trusted' : 'untrusted',
      body,
    };
  }
}

/** A thread that died or does not answer cannot be told from a disk that does not. */
function asJournalFault(error: unknown): unknown {
  if (!isFault(error, 'process-lost', 'deadline-exceeded')) return error;
  return new Fault('journal-unwritable', `the journal cannot be written: ${error.message}`, { cause: error });
}
