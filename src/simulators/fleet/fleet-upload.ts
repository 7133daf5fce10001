import { decodeAcknowledgement } from '#core/sync/journal-acknowledgement.ts';
import type { TerminalIdentity } from '#core/sync/terminal-identity.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';
import type { PublishOutcome } from '#ports/message-bus.ts';
import type { PlannedBatch } from './journal-plan.ts';

export interface FleetUploadParts {
  readonly identity: TerminalIdentity;
  readonly incarnation: string;
  readonly batches: readonly PlannedBatch[];
  readonly clock: Pick<Clock, 'after'>;
  readonly random: () => number;
  /** milliseconds since the run began */
  readonly nowMs: () => number;
  readonly publish: (payload: Uint8Array) => Promise<PublishOutcome>;
  /** A batch is stored: counted from when it was meant to be, and from when it was sent the first time. */
  readonly stored: (batch: PlannedBatch, sentAtMs: number) => void;
  /** The server says that it has what was never sent, or refuses what is right. */
  readonly wrong: (what: string) => void;
}

/** without an answer for so long, what was sent is sent again */
const answerWithinMs = 30_000;

/**
 * Sends the batches of a plan as a terminal sends its journal: each from its moment on, in order, as many as the server
 * gives credit for, and again from the last that is stored where the connection or the answer was lost.
 */
export class FleetUpload {
  readonly #parts: FleetUploadParts;
  readonly #sentAtMs: number[] = [];
  #stored = 0;
  #next = 0;
  #credit = 1;
  #notBeforeMs = 0;
  #connected = false;
  #timer: CancelTimer | undefined;
  #answer: CancelTimer | undefined;

  constructor(parts: FleetUploadParts) {
    this.#parts = parts;
  }

  /** How many entries wait that are due: the backlog that a terminal would report. */
  backlog(): number {
    const { batches, nowMs } = this.#parts;
    let entries = 0;
    for (let at = this.#stored; (batches[at]?.dueMs ?? Number.POSITIVE_INFINITY) <= nowMs(); at += 1) {
      entries += batches[at]?.entries ?? 0;
    }
    return entries;
  }

  /** The run begins: what is due from now on is sent. */
  begin(): void {
    this.#send();
  }

  connected(): void {
    this.#connected = true;
    this.#again();
  }

  lost(): void {
    this.#connected = false;
    this.#timer?.();
    this.#answer?.();
    this.#answer = undefined;
  }

  acknowledged(payload: Uint8Array): void {
    const { identity, incarnation, batches, nowMs, wrong, stored } = this.#parts;
    const read = decodeAcknowledgement(payload, identity);
    if (read.kind === 'refused') return wrong(`an acknowledgement is ${read.reason}`);
    const { position, credit, returnAfterMs, refused } = read.value;
    if (refused) wrong(`refused as ${refused}`);
    this.#credit = credit;
    this.#notBeforeMs = nowMs() + returnAfterMs * (1 + this.#parts.random());
    if (position?.incarnation === incarnation) {
      for (let batch = batches[this.#stored]; batch && batch.last <= position.sequence; ) {
        if (batch.last === position.sequence && batch.hash !== position.hash)
          wrong('another history is stored');
        stored(batch, this.#sentAtMs[this.#stored] ?? Number.NaN);
        this.#stored += 1;
        batch = batches[this.#stored];
      }
      const last = batches[this.#stored - 1]?.last ?? 0;
      if (position.sequence < last) wrong(`the server went back from ${last} to ${position.sequence}`);
    }
    this.#next = Math.max(this.#next, this.#stored);
    this.#awaitAnswer();
    this.#send();
  }

  #again(): void {
    this.#next = this.#stored;
    this.#send();
  }

  #send(): void {
    this.#timer?.();
    if (!this.#connected) return;
    const { batches, nowMs, clock } = this.#parts;
    for (let batch = batches[this.#next]; batch; batch = batches[this.#next]) {
      const waitMs = Math.max(batch.dueMs, this.#notBeforeMs) - nowMs();
      if (waitMs > 0) {
        this.#timer = clock.after(waitMs, () => this.#send());
        return;
      }
      if (this.#next - this.#stored >= this.#credit) return;
      this.#sentAtMs[this.#next] ??= nowMs();
      this.#next += 1;
      void this.#parts.publish(batch.payload);
      if (!this.#answer) this.#awaitAnswer();
    }
  }

  /** A message that the broker or the server dropped is known by the silence alone. */
  #awaitAnswer(): void {
    this.#answer?.();
    this.#answer = undefined;
    if (this.#next === this.#stored) return;
    this.#answer = this.#parts.clock.after(answerWithinMs * (1 + this.#parts.random()), () => {
      this.#answer = undefined;
      if (this.#connected) this.#again();
    });
  }
}
