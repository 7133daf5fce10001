import { toHex } from '#core/bytes/bytes.ts';
import { parseDevicePublicKey } from '#core/crypto/device-signature.ts';
import { checkpointBytes, type StoredCheckpoint } from '#core/journal/checkpoint.ts';
import { chainEntry, noPrevious, type StoredEntry } from '#core/journal/entry.ts';
import type { JournalRecord } from '#core/journal/record.ts';
import type { ChainPosition, JournalBatch } from '#core/sync/journal-batch.ts';
import { makeKey, type TestKey } from '../core/sync/keys.ts';

const organization = 'city';
export const startMs = 1_775_000_000_000;

/** The journal of one device, as it would be sent. */
export class JournalDevice {
  readonly terminal: string;
  readonly incarnation: string;
  readonly key: TestKey;
  entries: StoredEntry[] = [];

  constructor(terminal: string, incarnation = `${terminal}-1`, key = makeKey()) {
    this.terminal = terminal;
    this.incarnation = incarnation;
    this.key = key;
  }

  keys() {
    const parsed = parseDevicePublicKey(this.key.spki);
    return new Map(parsed ? [[parsed.keyId, parsed]] : []);
  }

  append(count: number, changes: Partial<JournalRecord> = {}): this {
    for (let i = 0; i < count; i += 1) {
      const sequence = this.entries.length + 1;
      const record: JournalRecord = {
        kind: 'decision',
        atMs: startMs + sequence * 1_000,
        monotonicUs: sequence,
        bootId: 'boot',
        clock: 'trusted',
        tapId: `${sequence}`.padStart(32, '0'),
        body: { door: sequence % 2 ? 'north' : 'south' },
        personal: { userNumber: `A${sequence}` },
        ...changes,
      };
      const position = { terminal: this.terminal, incarnation: this.incarnation, sequence };
      const previous = this.position().hash;
      this.entries.push(chainEntry(record, position, previous, () => new Uint8Array(16).fill(sequence)));
    }
    return this;
  }

  /** Bytes that no journal would write, chained all the same as far as the next entry tells. */
  appendRaw(raw: Uint8Array, hash: Uint8Array): this {
    this.entries.push({ raw, hash, personal: [] });
    return this;
  }

  /** The same journal with another history from entry `sequence` on. */
  rewritten(sequence: number): JournalDevice {
    const other = new JournalDevice(this.terminal, this.incarnation, this.key);
    other.entries = this.entries.slice(0, sequence - 1);
    return other.append(this.entries.length - sequence + 1, { body: { door: 'nobody-came' } });
  }

  position(sequence = this.entries.length): ChainPosition {
    const entry = this.entries[sequence - 1];
    return { incarnation: this.incarnation, sequence, hash: entry ? toHex(entry.hash) : noPrevious };
  }

  async checkpoint(
    sequence = this.entries.length,
    hash = this.position(sequence).hash,
  ): Promise<StoredCheckpoint> {
    const head = { terminal: this.terminal, incarnation: this.incarnation, sequence, hash };
    const raw = checkpointBytes(head, startMs, this.key.keyId());
    return { raw, signature: await this.key.sign(raw) };
  }

  batch(first = 1, last = this.entries.length, changes: Partial<JournalBatch> = {}): JournalBatch {
    return {
      organization,
      terminal: this.terminal,
      incarnation: this.incarnation,
      first,
      oldestKept: 1,
      after: null,
      entries: this.entries.slice(first - 1, last).map(({ raw, personal }) => ({ raw, personal })),
      checkpoints: [],
      ...changes,
    };
  }
}
