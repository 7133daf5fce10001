import type { Logger } from 'pino';
import type { DocumentRefusal } from '#core/sync/document.ts';
import { decodeAcknowledgement, type JournalAcknowledgement } from '#core/sync/journal-acknowledgement.ts';
import { retryAfterMs } from '#core/sync/retry.ts';
import type { TerminalIdentity } from '#core/sync/terminal-identity.ts';
import { maxPayloadBytes } from '#core/sync/topics.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';
import type { JournalKeeping, UploadedThrough } from '#ports/journal-keeping.ts';
import type { JournalOutbox, OutgoingBatch } from '#ports/journal-outbox.ts';
import type { MessageBus } from '#ports/message-bus.ts';
import type { Occurrence } from './journal-writer.ts';
import type { LinkParticipant } from './server-link.ts';
import { UploadAlarms } from './upload-alarms.ts';

export interface JournalUploadParts {
  readonly identity: TerminalIdentity;
  readonly outbox: JournalOutbox;
  readonly journal: Pick<JournalKeeping, 'uploaded'>;
  readonly bus: Pick<MessageBus, 'publish'>;
  /** resolves when nobody stands at a reader */
  readonly pause: () => Promise<void>;
  /** never rejects */
  readonly note: (occurrence: Occurrence) => void;
  readonly clock: Clock;
  /** 0 up to 1 */
  readonly chance: () => number;
  readonly log: Logger;
}

/** of one batch: few milliseconds of reading, some 30 KB */
const mostEntries = 200;
/** from one batch to the next, so that a long backlog meets few of those who stand at a reader: 4,000 entries a second */
const betweenBatchesMs = 50;
/** entries that the disk may not know to be stored while more are sent; after a crash they are sent again */
const mostUnsaved = 2_000;
/** entries that come together go together */
const gatherMs = 250;
/** how long the server may take to answer before it is asked again, and how long it is left alone at most */
const answerWithinMs = 30_000;
const longestPauseMs = 60_000;
/** over how long the terminals of a server that is back begin */
const spreadMs = 2_000;
const mostAnswers = 64;

/** What was sent and is not yet known to be stored: its entries' positions alone, for the disk has the rest. */
type Sent = Omit<OutgoingBatch, 'payload'>;

/**
 * Sends the journal to the server, in its order, no more at once than the server takes. What counts is what the server
 * says it has stored: behind that the journal is sent, however often the server or the way loses it, and from wherever
 * the server says, also where that is before what it had.
 */
export class JournalUpload implements LinkParticipant {
  readonly #parts: JournalUploadParts;
  readonly #answers: JournalAcknowledgement[] = [];
  readonly #standing: UploadAlarms;
  #isOpen = false;
  #connected = false;
  #stopped = false;
  #running: Promise<void> | undefined;
  #again = false;
  #wake: CancelTimer | undefined;
  #late: CancelTimer | undefined;
  #stored = 0;
  #signed = 0;
  #saved: UploadedThrough = { stored: 0, signed: 0 };
  #sent = 0;
  #signedSent = 0;
  #window: Sent[] = [];
  /** changes whenever what was sent counts as lost */
  #round = 0;
  /** where sending began anew without a word of progress since */
  #rewoundTo: number | undefined;
  #asks = false;
  #credit = 1;
  #failures = 0;
  #mostEntries = mostEntries;
  #notBeforeUs = 0;

  constructor(parts: JournalUploadParts) {
    this.#parts = parts;
    this.#standing = new UploadAlarms(parts);
  }

  connected(): void {
    this.#connected = true;
    this.#asks = true;
    this.#credit = 1;
    this.#failures = 0;
    this.#answers.length = 0;
    this.#rewind();
    this.#waitFor(spreadMs * this.#parts.chance());
    this.#work();
  }

  lost(): void {
    this.#connected = false;
    this.#late?.();
    this.#rewind();
  }

  /** Entries or checkpoints were written. Returns at once. */
  grown(): void {
    if (this.#connected && !this.#wake) this.#wakeIn(gatherMs);
  }

  /** Takes what the server says it has; what cannot be read is logged. Resolves at once. */
  async acknowledged(payload: Uint8Array): Promise<void> {
    const { identity, log } = this.#parts;
    const read = decodeAcknowledgement(payload, identity);
    if (read.kind === 'refused') {
      log.warn({ reason: read.reason }, 'an acknowledgement of the server cannot be read');
      return;
    }
    // the server says it again
    if (this.#answers.length >= mostAnswers) this.#answers.shift();
    this.#answers.push(read.value);
    this.#work();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#connected = false;
    this.#wake?.();
    this.#late?.();
    await this.#running;
    if (this.#isOpen) await this.#parts.outbox.stop();
  }

  /** One run at a time; whoever comes during one has it look again. */
  #work(): void {
    if (this.#stopped) return;
    this.#again = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#again) this.#work();
    });
  }

  async #run(): Promise<void> {
    try {
      while (this.#again && this.#connected) {
        this.#again = false;
        await this.#open();
        for (let answer = this.#answers.shift(); answer; answer = this.#answers.shift())
          await this.#take(answer);
        if (await this.#sendNext()) this.#again = true;
      }
      if (!this.#connected) this.#again = false;
    } catch (error) {
      // the disk, most likely; taps and doors are told of it elsewhere
      if (!this.#stopped) this.#parts.log.error({ err: error }, 'the journal cannot be sent');
      this.#again = false;
      this.#rewind();
      this.#fail();
    }
  }

  async #open(): Promise<void> {
    if (this.#isOpen) return;
    const { outbox } = this.#parts;
    await outbox.start();
    this.#isOpen = true;
    const { uploaded } = await outbox.extent();
    this.#stored = uploaded.stored;
    this.#signed = uploaded.signed;
    this.#saved = uploaded;
    this.#rewind();
  }

  /** Whether more may be there to send. */
  async #sendNext(): Promise<boolean> {
    const { outbox, bus, clock, identity, pause } = this.#parts;
    const waitMs = (this.#notBeforeUs - clock.monotonicUs()) / 1_000;
    if (waitMs > 0) this.#wakeIn(waitMs);
    if (waitMs > 0 || this.#window.length >= this.#credit) return false;
    await pause();
    const round = this.#round;
    const asks = this.#asks && this.#window.length === 0;
    const batch = await outbox.batch({
      to: identity,
      behind: this.#sent,
      signedBehind: this.#signedSent,
      mostEntries: this.#mostEntries,
      mostBytes: maxPayloadBytes,
      asks,
    });
    if (!this.#connected || round !== this.#round) return true;
    if (!batch) {
      await this.#save();
      return false;
    }
    const { payload, ...sent } = batch;
    this.#asks = false;
    this.#window.push(sent);
    this.#sent = sent.through;
    this.#signedSent = Math.max(this.#signedSent, sent.signedThrough);
    this.#waitFor(betweenBatchesMs);
    this.#expectAnswer();
    const outcome = await bus.publish({ kind: 'journal', payload });
    if (outcome === 'taken' || round !== this.#round) return true;
    this.#rewind();
    this.#fail();
    return false;
  }

  async #take({
    position,
    signedThrough,
    credit,
    returnAfterMs,
    refused,
  }: JournalAcknowledgement): Promise<void> {
    const { outbox, log } = this.#parts;
    this.#credit = credit;
    this.#waitFor(returnAfterMs);
    if (refused || !position) {
      this.#refused(refused);
      return;
    }
    const located = await outbox.locate(position, signedThrough, this.#signed);
    if (!located) {
      log.warn({ incarnation: position.incarnation }, 'the server names an incarnation that is not here');
      return;
    }
    this.#standing.wrong(position, located);
    // a server that has another history, or more of it, says nothing of what it was not sent yet
    const stored = located.agrees ? located.stored : Math.min(located.stored, this.#sent);
    const { signed } = located;
    this.#follow(stored, signed);
    const ahead = stored - this.#saved.stored;
    // what the server has lost is let go of no more from now on
    if (ahead < 0 || signed < this.#saved.signed || ahead >= mostUnsaved) await this.#save();
  }

  /** Writes down how far the server has the journal: seldom while more is sent, for taps wait for the same disk. */
  async #save(): Promise<void> {
    const through = { stored: this.#stored, signed: this.#signed };
    if (through.stored === this.#saved.stored && through.signed === this.#saved.signed) return;
    await this.#parts.journal.uploaded(through);
    this.#saved = through;
  }

  #follow(stored: number, signed: number): void {
    const goesBack = stored < this.#stored;
    const inside = this.#window.some(({ from, through }) => from <= stored && stored < through);
    const left = this.#window.filter(({ through }) => through > stored);
    const progress = !goesBack && (stored > this.#stored || left.length < this.#window.length);
    this.#window = left;
    this.#stored = stored;
    this.#signed = signed;
    this.#sent = Math.max(this.#sent, stored);
    this.#signedSent = Math.max(this.#signedSent, signed);
    if (progress) this.#progressed();
    // said again, an answer is no reason to send all again and again
    const isBehind = goesBack || inside || (!progress && left.length > 0);
    if (isBehind && this.#rewoundTo !== stored) {
      this.#rewind();
      this.#rewoundTo = stored;
    }
    this.#late?.();
    if (this.#window.length > 0) this.#expectAnswer();
  }

  #progressed(): void {
    this.#failures = 0;
    this.#rewoundTo = undefined;
    this.#mostEntries = mostEntries;
    this.#standing.taken();
  }

  /** Fewer at once find the one entry that is not taken, and let those before it through. */
  #refused(reason: DocumentRefusal | undefined): void {
    this.#mostEntries = Math.max(1, Math.floor(this.#mostEntries / 4));
    this.#standing.refused(reason ?? 'malformed');
    this.#rewind();
    this.#fail();
  }

  #expectAnswer(): void {
    const { clock, log } = this.#parts;
    this.#late?.();
    this.#late = clock.after(answerWithinMs, () => {
      if (!this.#connected) return;
      log.warn({ failures: this.#failures + 1 }, 'the server does not say what it has stored of the journal');
      this.#credit = 1;
      this.#rewind();
      this.#fail();
      this.#work();
    });
  }

  #rewind(): void {
    this.#round += 1;
    this.#window = [];
    this.#sent = this.#stored;
    this.#signedSent = this.#signed;
  }

  #fail(): void {
    const { chance } = this.#parts;
    this.#failures += 1;
    this.#waitFor(Math.min(longestPauseMs, retryAfterMs(this.#failures, chance())));
  }

  /** Nothing is sent before; what was said of that earlier counts no more, unless it is longer. */
  #waitFor(ms: number): void {
    const { clock } = this.#parts;
    this.#notBeforeUs = Math.max(this.#notBeforeUs, clock.monotonicUs() + ms * 1_000);
    if (ms > 0) this.#wakeIn(ms);
  }

  #wakeIn(ms: number): void {
    this.#wake?.();
    this.#wake = this.#parts.clock.after(ms, () => {
      this.#wake = undefined;
      this.#work();
    });
  }
}
