import type { TakenMessage } from '#ports/intake.ts';

export interface QueueLimits {
  /** batches of one terminal: who sends more than its credit has no place */
  readonly batches: number;
  /** of all organizations together */
  readonly bytes: number;
}

/** A message that waits; `settled` is told once: with an error where it was not stored. */
export interface WaitingBatch {
  readonly message: TakenMessage;
  readonly settled: (error?: unknown) => void;
}

/**
 * Batches that wait to be stored. No terminal takes the place of another: each has a few places of its own, they are
 * served in turn, and where memory is short the one that takes most of it loses its last batch. What is lost here comes
 * again, since it is not acknowledged.
 */
export class JournalQueue {
  readonly #limits: QueueLimits;
  readonly #organizations = new Map<string, Map<string, WaitingBatch[]>>();
  #bytes = 0;

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  /** How full it is, from 0 to 1. */
  load(): number {
    return Math.min(1, this.#bytes / this.#limits.bytes);
  }

  /** How many of an organization wait. */
  waiting(organization: string): number {
    let batches = 0;
    for (const own of this.#organizations.get(organization)?.values() ?? []) batches += own.length;
    return batches;
  }

  /** Takes a batch in, or drops it or another one. */
  put(batch: WaitingBatch): void {
    const { organization, terminal } = batch.message.from;
    const terminals = this.#organizations.get(organization) ?? new Map<string, WaitingBatch[]>();
    this.#organizations.set(organization, terminals);
    const own = terminals.get(terminal) ?? [];
    if (own.length >= this.#limits.batches) {
      batch.settled();
      return;
    }
    terminals.set(terminal, [...own, batch]);
    this.#bytes += batch.message.payload.length;
    while (this.#bytes > this.#limits.bytes) this.#dropOne();
  }

  /** The next of an organization, of each terminal in turn and in its order, at most these many and bytes. */
  take(
    organization: string,
    { messages, bytes }: { readonly messages: number; readonly bytes: number },
  ): readonly WaitingBatch[] {
    const terminals = this.#organizations.get(organization);
    const taken: WaitingBatch[] = [];
    let length = 0;
    while (terminals && terminals.size > 0 && taken.length < messages && length < bytes) {
      const [terminal, [next, ...others]] = firstOf(terminals);
      // behind all others
      terminals.delete(terminal);
      if (others.length > 0) terminals.set(terminal, others);
      taken.push(next);
      length += next.message.payload.length;
    }
    if (terminals?.size === 0) this.#organizations.delete(organization);
    this.#bytes -= length;
    return taken;
  }

  /** Drops everything. */
  clear(): void {
    for (const organization of [...this.#organizations.keys()]) {
      const all = { messages: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY };
      for (const { settled } of this.take(organization, all)) settled();
    }
  }

  #dropOne(): void {
    let most:
      | { readonly terminals: Map<string, WaitingBatch[]>; terminal: string; bytes: number }
      | undefined;
    for (const terminals of this.#organizations.values()) {
      for (const [terminal, batches] of terminals) {
        const bytes = batches.reduce((sum, { message }) => sum + message.payload.length, 0);
        if (!most || bytes > most.bytes) most = { terminals, terminal, bytes };
      }
    }
    const own = most?.terminals.get(most.terminal);
    const last = own?.pop();
    if (!most || !last) throw new Error('bytes of nothing');
    if (own?.length === 0) most.terminals.delete(most.terminal);
    this.#bytes -= last.message.payload.length;
    last.settled();
  }
}

function firstOf(
  terminals: ReadonlyMap<string, readonly WaitingBatch[]>,
): readonly [string, readonly [WaitingBatch, ...WaitingBatch[]]] {
  for (const [terminal, [first, ...others]] of terminals) {
    if (first) return [terminal, [first, ...others]];
  }
  throw new Error('a terminal without batches');
}
