import { toHex } from '#core/bytes/bytes.ts';
import { sha256Text } from '#core/crypto/digest.ts';
import { checkpointBytes, type StoredCheckpoint } from '#core/journal/checkpoint.ts';
import { chainEntry, noPrevious, type StoredEntry } from '#core/journal/entry.ts';
import { encodeJournalBatch } from '#core/sync/journal-batch-writing.ts';
import { makeKey, type TestKey } from '../core/sync/keys.ts';

export const startMs = 1_775_000_000_000;
export const batchEntries = 100;

/** A batch of a terminal, signed and packed. */
export interface MadeBatch {
  readonly terminal: string;
  readonly payload: Uint8Array;
}

/** Terminals with a key each, and their batches in the order of the rounds in which all of them send one. */
export async function makeBatches(
  terminals: number,
  rounds: number,
): Promise<{
  readonly keys: readonly { readonly terminal: string; readonly spki: Uint8Array }[];
  readonly batches: readonly MadeBatch[];
}> {
  const journals = Array.from({ length: terminals }, (_, at) => new MadeJournal(`door-${at}`));
  const batches: MadeBatch[] = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const journal of journals) batches.push(await journal.next());
  }
  return { keys: journals.map(({ terminal, key }) => ({ terminal, spki: key.spki })), batches };
}

/** Entries as taps at a door make them. */
class MadeJournal {
  readonly terminal: string;
  readonly key: TestKey = makeKey();
  #sequence = 0;
  #previous = noPrevious;

  constructor(terminal: string) {
    this.terminal = terminal;
  }

  async next(): Promise<MadeBatch> {
    const first = this.#sequence + 1;
    const entries = Array.from({ length: batchEntries }, () => this.#append());
    const payload = encodeJournalBatch({
      organization: 'city',
      terminal: this.terminal,
      incarnation: this.terminal,
      first,
      oldestKept: 1,
      after: null,
      entries,
      checkpoints: [await this.#checkpoint()],
    });
    return { terminal: this.terminal, payload };
  }

  #append(): StoredEntry {
    this.#sequence += 1;
    const sequence = this.#sequence;
    // as random as those of readers, whose index has no place where the next one goes
    const tapId = sha256Text(new TextEncoder().encode(`${this.terminal} ${sequence}`)).slice(0, 32);
    const entry = chainEntry(
      {
        kind: 'decision',
        atMs: startMs + sequence * 2_000,
        monotonicUs: sequence,
        bootId: 'boot',
        clock: 'trusted',
        tapId,
        body: {
          door: 'north',
          reader: 'outside',
          effect: 'permit',
          rule: 'staff',
          card: {
            organization: 'city',
            profile: 'type-a',
            method: 'mutual',
            timings: { select: 31, read: 84 },
          },
        },
        personal: { userNumber: `USER${sequence % 5_000}` },
      },
      { terminal: this.terminal, incarnation: this.terminal, sequence },
      this.#previous,
      () => new Uint8Array(16).fill(sequence),
    );
    this.#previous = toHex(entry.hash);
    return entry;
  }

  async #checkpoint(): Promise<StoredCheckpoint> {
    const { terminal } = this;
    const head = { terminal, incarnation: terminal, sequence: this.#sequence, hash: this.#previous };
    const raw = checkpointBytes(head, startMs, this.key.keyId());
    return { raw, signature: await this.key.sign(raw) };
  }
}
